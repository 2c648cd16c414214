package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// refresher is a server that tells a lifetime and answers refreshes by a function.
type refresher struct {
	*wire
	lifetime int
	answer   func(rw http.ResponseWriter, q *http.Request, n int32)
	asked    atomic.Int32
}

func newRefresher(t *testing.T, lifetime int, answer func(rw http.ResponseWriter, q *http.Request, n int32)) *refresher {
	t.Helper()
	s := &refresher{lifetime: lifetime, answer: answer}
	s.wire = newWire(t, func(l *link) { l.shake(); l.untilGone() })
	s.before = s.serve
	return s
}

func (s *refresher) serve(rw http.ResponseWriter, q *http.Request) (answered bool) {
	switch {
	case strings.HasSuffix(q.URL.Path, "/negotiate"):
		s.adopt("token")
		fmt.Fprintf(rw, `{"negotiateVersion":1,"connectionId":"id","connectionToken":"token","tokenLifetimeSeconds":%d,"availableTransports":[
			{"transport":"WebSockets","transferFormats":["Text"]},{"transport":"LongPolling","transferFormats":["Text"]}]}`, s.lifetime)
		return true
	case strings.HasSuffix(q.URL.Path, "/refresh"):
		if got := q.Header["X-Signalr-Connection-Token"]; len(got) != 1 || got[0] != "token" || q.URL.RawQuery != "" || q.Method != http.MethodPost || q.ContentLength != 0 {
			s.Errorf("%s %s of %q, %d bytes", q.Method, q.URL, got, q.ContentLength)
		}
		s.answer(rw, q, s.asked.Add(1))
		return true
	}
	return false
}

// told collects what the callbacks of a connection are told.
type told struct {
	lifetimes chan time.Duration
	failures  chan error
}

func listen(c *HubConnection) told {
	heard := told{make(chan time.Duration, 100), make(chan error, 100)}
	c.OnAuthenticationRefreshed(func(_ context.Context, lifetime time.Duration) { heard.lifetimes <- lifetime })
	c.OnAuthenticationRefreshFailed(func(_ context.Context, err error) { heard.failures <- err })
	return heard
}

func withToken(o Options) Options {
	o.AccessToken = func(context.Context) (string, error) { return "secret", nil }
	return o
}

// TestRefusedRefreshes: each refusal is told once and not asked for again; the connection stays.
func TestRefusedRefreshes(t *testing.T) {
	for status, requests := range map[int]int32{400: 1, 401: 2, 403: 1, 404: 1, 405: 1} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			s := newRefresher(t, 1, func(rw http.ResponseWriter, _ *http.Request, _ int32) { rw.WriteHeader(status) })
			r := s.rig()
			c := r.open(s.url, withToken(s.on(WebSockets)))
			heard := listen(c)
			r.start(c)
			answer := new(HTTPError)
			if err := receive(r, "the failure", heard.failures); !errors.As(err, &answer) || answer.StatusCode != status || answer.Op != "refresh" {
				t.Errorf("told %v", err)
			}
			if _, err := c.RefreshAuthentication(r.within()); !errors.As(err, &answer) || answer.StatusCode != status {
				t.Errorf("RefreshAuthentication: %v", err)
			}
			receive(r, "the failure of the call", heard.failures)
			if n := s.asked.Load(); n != 2*requests || c.State() != Connected {
				t.Errorf("%d requests, %v", n, c.State())
			}
		})
	}
}

// TestFailedRefreshIsTriedAgain: trouble that may pass is not told while the authentication lasts.
func TestFailedRefreshIsTriedAgain(t *testing.T) {
	troubles := []func(http.ResponseWriter){
		func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusBadGateway) },
		func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusTooManyRequests) },
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	s := newRefresher(t, 60, func(rw http.ResponseWriter, _ *http.Request, n int32) {
		if int(n) <= len(troubles) {
			troubles[n-1](rw)
		}
		fmt.Fprint(rw, `{"tokenLifetimeSeconds":3600}`)
	})
	s.lifetime = 2
	r := s.rig()
	o := withToken(s.on(WebSockets))
	c := r.open(s.url, o)
	heard := listen(c)
	r.start(c)
	// Of the two seconds one is left; the first pauses take a quarter of a second to half of one each.
	select {
	case lifetime := <-heard.lifetimes:
		if lifetime != time.Hour || s.asked.Load() != 4 {
			t.Errorf("%v after %d requests", lifetime, s.asked.Load())
		}
	case err := <-heard.failures: // the host was too slow for four attempts, or the pauses were long
		if s.asked.Load() < 2 {
			t.Errorf("told %v after %d requests", err, s.asked.Load())
		}
	case <-time.After(patience):
		t.Error("nothing is told")
	}
}

// TestNoAutomaticRefresh: not without a lifetime, without a token function, and where it is switched off. The method
// works all the same, but where negotiation was skipped.
func TestNoAutomaticRefresh(t *testing.T) {
	cases := map[string]struct {
		lifetime int
		options  func(*Options)
	}{
		"no lifetime":  {0, func(*Options) {}},
		"no function":  {1, func(o *Options) { o.AccessToken = nil }},
		"switched off": {1, func(o *Options) { o.DisableAutoRefresh = true }},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRefresher(t, test.lifetime, func(rw http.ResponseWriter, _ *http.Request, _ int32) { fmt.Fprint(rw, `{}`) })
			r := s.rig()
			o := withToken(s.on(WebSockets))
			test.options(&o)
			c := r.open(s.url, o)
			heard := listen(c)
			r.start(c)
			time.Sleep(1200 * time.Millisecond) // nothing has to happen in more than the lifetime
			if n := s.asked.Load(); n > 0 {
				t.Errorf("%d refreshes", n)
			}
			if lifetime, err := c.RefreshAuthentication(r.within()); lifetime != 0 || err != nil {
				t.Errorf("RefreshAuthentication: %v, %v", lifetime, err)
			}
			receive(r, "the success", heard.lifetimes)
		})
	}
	c := New("http://hub.invalid", Options{})
	if _, err := c.RefreshAuthentication(t.Context()); !errors.Is(err, ErrNotConnected) {
		t.Errorf("without a connection: %v", err)
	}
}

// TestRefreshAfterRedirect: the application's token goes to the first address. The token in the answer replaces the one
// that is used at the second.
func TestRefreshAfterRedirect(t *testing.T) {
	var mu sync.Mutex
	var second []string
	w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
	w.before = func(_ http.ResponseWriter, q *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if token := q.Header.Get("Authorization"); len(second) == 0 || second[len(second)-1] != token {
			second = append(second, token)
		}
		return false
	}
	first := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		if got := q.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("the first address was told %q", got)
		}
		if strings.HasSuffix(q.URL.Path, "/refresh") {
			fmt.Fprint(rw, `{"tokenLifetimeSeconds":3600,"accessToken":"renewed"}`)
			return
		}
		fmt.Fprintf(rw, `{"url":%q,"accessToken":"issued","tokenLifetimeSeconds":1}`, w.url)
	}))
	defer first.Close()
	r := w.rig()
	c := r.open(first.URL, withToken(w.on(LongPolling)))
	heard := listen(c)
	r.start(c)
	if lifetime := receive(r, "the refresh", heard.lifetimes); lifetime != time.Hour {
		t.Errorf("told %v", lifetime)
	}
	if err := c.Send(r.within(), "X"); err != nil {
		t.Error(err)
	}
	r.until("a request with the new token", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(second, ", ") == "Bearer issued, Bearer renewed"
	})
}

// TestPollThatRequiresRefresh: a poll is answered 409; with the text that means a refresh it is repeated behind one, once.
func TestPollThatRequiresRefresh(t *testing.T) {
	for text, want := range map[string]int32{`{"error":"authentication_refresh_required"}`: 1, `{"error":"something else"}`: 0, "": 0} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			s := newRefresher(t, 0, func(rw http.ResponseWriter, _ *http.Request, _ int32) { fmt.Fprint(rw, `{"tokenLifetimeSeconds":60}`) })
			serve := s.before
			var polls atomic.Int32
			s.before = func(rw http.ResponseWriter, q *http.Request) bool {
				if q.Method != http.MethodGet || polls.Add(1) < 3 {
					return serve(rw, q)
				}
				rw.WriteHeader(http.StatusConflict) // always: a refresh does not help
				fmt.Fprint(rw, text)
				return true
			}
			r := s.rig()
			c := r.open(s.url, withToken(s.on(LongPolling)))
			ended := make(chan error, 1)
			c.OnStateChange(func(_ context.Context, change StateChange) {
				if change.To == Disconnected {
					ended <- change.Err
				}
			})
			r.start(c)
			answer := new(HTTPError)
			if err := receive(r, "the end", ended); !errors.As(err, &answer) || answer.StatusCode != http.StatusConflict {
				t.Errorf("ended by %v", err)
			}
			if n := s.asked.Load(); n != want {
				t.Errorf("%d refreshes, want %d", n, want)
			}
		})
	}
}

// TestRefreshElsewhere: a redirect to somebody else takes neither the access token nor the connection's along.
func TestRefreshElsewhere(t *testing.T) {
	other := answering(t, func(rw http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "" || q.Header.Get("X-SignalR-Connection-Token") != "" {
			t.Errorf("another server was told %v", q.Header)
		}
		rw.WriteHeader(http.StatusTeapot)
	})
	s := newRefresher(t, 3600, func(rw http.ResponseWriter, q *http.Request, _ int32) {
		http.Redirect(rw, q, other, http.StatusTemporaryRedirect)
	})
	r := s.rig()
	c := r.start(r.open(s.url, withToken(s.on(WebSockets))))
	answer := new(HTTPError)
	if _, err := c.RefreshAuthentication(r.within()); !errors.As(err, &answer) || answer.StatusCode != http.StatusTeapot {
		t.Errorf("RefreshAuthentication: %v", err)
	}
}

func TestTimeOfRefresh(t *testing.T) {
	for lifetime, want := range map[time.Duration]time.Duration{
		time.Hour: 55 * time.Minute, 6 * time.Minute: time.Minute, 5 * time.Minute: 150 * time.Second, 6 * time.Second: 3 * time.Second, 0: 0,
	} {
		if got := lifetime - aheadOf(lifetime); got != want {
			t.Errorf("%v: refreshed after %v, want %v", lifetime, got, want)
		}
	}
}
