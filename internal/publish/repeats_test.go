package publish_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/hosting"
)

// nodes are the other nodes of a hub, as a test wants them.
type nodes struct {
	send    func(ctx context.Context) error
	found   hub.Findings
	missing int
}

func (*nodes) Attach(hub.Local)                                                {}
func (*nodes) AttachPresence(hub.Local)                                        {}
func (*nodes) Command(context.Context, hub.Command) error                      { return nil }
func (*nodes) Join(context.Context, ...hub.Audience) error                     { return nil }
func (*nodes) Leave(...hub.Audience)                                           {}
func (n *nodes) Send(ctx context.Context, _ hub.Audience, _ hub.Message) error { return n.send(ctx) }

func (*nodes) Ask(context.Context, string, hub.Message) (hub.Answer, error) {
	return hub.Answer{}, hub.ErrNoConnection
}

func (n *nodes) Survey(_ context.Context, _ hub.Survey, take func(hub.Findings) bool) (answered, missing int) {
	take(n.found)
	return 1, n.missing
}

func TestARepetitionIsNotPublishedTwice(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	a := l.connect("a", "json", "u", "g")
	for i, header := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		key := fmt.Sprintf(`"key %d"`, i)
		for range 3 {
			l.want(http.StatusAccepted, "", "POST", sendURL, news, header, key)
		}
		a.want(sent)
		for _, other := range [][2]string{{sendURL, `{"target":"news","arguments":[2]}`}, {sendURL + "&excluded=x", news}, {"/api/hubs/chat/groups/g/:send?" + version, news}} {
			l.want(http.StatusUnprocessableEntity, "Error.Request.IdempotencyKeyReused", "POST", other[0], other[1], header, key)
		}
		l.want(http.StatusUnprocessableEntity, "Error.Request.IdempotencyKeyReused", "POST", sendURL, news, header, key, "Content-Type", "application/json; charset=utf-8")
		a.want("")
		l.want(http.StatusAccepted, "", "POST", sendURL, news, header, key+"x")
		a.want(sent)
	}
	l.want(http.StatusAccepted, "", "POST", "/api/hubs/other/:send?application=app&"+version, news, "X-Api-Key", otherKey, "Idempotency-Key", `"key 0"`) // a key belongs to a hub
	for range 2 {
		l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, `{}`, "Idempotency-Key", "bad") // the same answer
	}
	for _, key := range []string{strings.Repeat("k", 257)} {
		l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, news, "Idempotency-Key", key)
	}
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, news, "Idempotency-Key", "a", "X-Idempotency-Key", "a")
	a.received()
	l.want(http.StatusOK, "", "DELETE", "/api/hubs/chat/connections/a?"+version, "", "Idempotency-Key", "k") // idempotent by itself
}

func TestARepetitionIsForgottenAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, hosting.Options{})
		publish := func() { l.want(http.StatusAccepted, "", "POST", sendURL, news, "Idempotency-Key", "k") }
		a := l.connect("a", "json", "")
		publish()
		a.want(sent)
		time.Sleep(5 * time.Minute) // in a bubble time is faked
		a.received()
		publish()
		a.want("")
		time.Sleep(time.Second) // in a bubble time is faked
		publish()
		a.want(sent)
	})
}

// A repetition waits for the first request, and is done itself if that one fails.
func TestConcurrentRepetitions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, results := 0, make(chan error)
		n := &nodes{}
		n.send = func(context.Context) error { calls++; return <-results }
		l := newLab(t, hosting.Options{Options: hub.Options{Backplane: n}})
		var mu sync.Mutex
		codes := map[int]int{}
		for range 5 {
			go func() {
				w := l.ask("POST", sendURL, news, "Idempotency-Key", "k")
				mu.Lock()
				defer mu.Unlock()
				codes[w.Code]++
			}()
		}
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d requests are being done", calls)
		}
		results <- errors.New("the broker is gone")
		synctest.Wait()
		if calls != 2 || codes[http.StatusServiceUnavailable] != 1 {
			t.Errorf("after a failure: %d calls, %v", calls, codes)
		}
		results <- nil
		synctest.Wait()
		if calls != 2 || codes[http.StatusAccepted] != 4 {
			t.Errorf("at the end: %d calls, %v", calls, codes)
		}
	})
}

// A request ends although the other nodes do not answer: after ten seconds, or when its client
// goes.
func TestOtherNodesHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, hosting.Options{Options: hub.Options{Backplane: &nodes{send: func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}}})
		began := time.Now()
		l.want(http.StatusGatewayTimeout, "Error.Service.Timeout", "POST", sendURL, news)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the request took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, key := range []string{"", "k"} {
			r := httptest.NewRequestWithContext(ctx, "POST", sendURL, strings.NewReader(news))
			r.Header.Set("X-Api-Key", apiKey)
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			l.api.ServeHTTP(httptest.NewRecorder(), r)
		}
		if took := time.Since(began); took != 11*time.Second {
			t.Errorf("the requests of clients that went took until %v", took)
		}
	})
}

func TestOtherNodes(t *testing.T) {
	t.Parallel()
	n := &nodes{send: func(context.Context) error { return errors.New("the broker is gone") }, missing: 1}
	l := newLab(t, hosting.Options{Options: hub.Options{Backplane: n, Presence: n}})
	if w := l.want(http.StatusServiceUnavailable, "Error.Service.Unavailable", "POST", sendURL, news); w.Header().Get("Retry-After") == "" {
		t.Error("503 has no Retry-After")
	}
	for _, path := range []string{"connections/x", "users/x", "groups/x"} {
		l.want(http.StatusServiceUnavailable, "Error.Service.Unavailable", "HEAD", "/api/hubs/chat/"+path+"?"+version, "")
	}
	l.want(http.StatusServiceUnavailable, "Error.Service.Unavailable", "PUT", "/api/hubs/chat/groups/g/connections/x?"+version, "")
	l.want(http.StatusServiceUnavailable, "Error.Service.Unavailable", "GET", "/api/hubs/chat/groups/g/connections?"+version, "")
	n.found = hub.Findings{Count: 1} // one yes is enough
	l.want(http.StatusOK, "", "HEAD", "/api/hubs/chat/connections/x?"+version, "")
	n.found, n.missing = hub.Findings{}, 0
	l.want(http.StatusNotFound, "Warning.Connection.NotExisted", "HEAD", "/api/hubs/chat/connections/x?"+version, "")
}

// A failure that is not the publisher's is in the log, and nothing of the message.
func TestFailuresAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	n := &nodes{send: func(context.Context) error { return errors.New("the broker is gone") }}
	l := newLab(t, hosting.Options{Options: hub.Options{Backplane: n, Logger: slog.New(slog.NewTextHandler(&log, nil))}})
	l.want(http.StatusServiceUnavailable, "", "POST", "/api/hubs/chat/groups/g/:send?"+version, `{"target":"t","arguments":["private"]}`)
	l.want(http.StatusBadRequest, "", "POST", sendURL, `{"target":"private"`)
	if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, `level=ERROR msg="publishing failed" hub=chat error="the broker is gone" operation=sendToGroup`) || strings.Contains(line, "private") {
		t.Errorf("the log has %s", line)
	}
}
