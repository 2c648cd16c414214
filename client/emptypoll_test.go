package client

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestPollsAnsweredAtOnce: a server, or a proxy, that answers each poll with nothing and does not wait
// is not polled without a pause.
func TestPollsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	var polls atomic.Int32
	shaken := make(chan struct{})
	url := answering(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.HasSuffix(q.URL.Path, "/negotiate"):
			fmt.Fprint(w, `{"negotiateVersion":1,"connectionId":"i","connectionToken":"t","availableTransports":[{"transport":"LongPolling","transferFormats":["Text"]}]}`)
		case q.Method == http.MethodPost:
			if text, _ := io.ReadAll(q.Body); strings.Contains(string(text), "protocol") {
				close(shaken)
			}
		case q.Method == http.MethodGet && polls.Add(1) == 2:
			<-shaken
			fmt.Fprint(w, "{}\x1e")
		}
	})
	r := &rig{T: t, combo: combos()[0]}
	o := r.options()
	o.Transports = []Transport{LongPolling}
	c := r.open(url, o)
	if err := c.Start(r.within()); err != nil {
		t.Fatal(err)
	}
	const most = 10         // the pauses of nine polls take more than a second
	time.Sleep(time.Second) // nothing tells that no poll comes
	if n := polls.Load(); n > most {
		t.Errorf("%d polls in a second", n)
	}
}

// TestPollsOfABusyClientHaveNoBody: net/http takes a body of unknown length for one that follows if nobody reads it within
// 200 ms.
func TestPollsOfABusyClientHaveNoBody(t *testing.T) {
	t.Parallel()
	var polls atomic.Int32
	w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
	w.before = func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodGet {
			polls.Add(1)
			if q.ContentLength != 0 || len(q.TransferEncoding) > 0 {
				t.Errorf("a poll has a body: length %d, %s", q.ContentLength, q.TransferEncoding)
			}
		}
		return false
	}
	r := w.rig()
	o := w.on(LongPolling)
	o.HTTPClient = &http.Client{Transport: slowBodies{}}
	r.start(r.open(w.url, o))
	if polls.Load() == 0 {
		t.Error("no poll")
	}
}

// slowBodies makes requests for a client that is busy: the body of a poll is read late.
type slowBodies struct{}

func (slowBodies) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.Method == http.MethodGet {
		q = q.Clone(q.Context())
		q.Body = slowBody{q.Body}
	}
	return http.DefaultTransport.RoundTrip(q)
}

type slowBody struct{ io.ReadCloser }

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(300 * time.Millisecond) // longer than net/http waits
	return b.ReadCloser.Read(p)
}
