package client

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestShortConnectionsCount: a connection that breaks at once is another failed attempt for the policy.
func TestShortConnectionsCount(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) {
			l.shake()
			l.cut()
		})
		r := w.rig()
		o := w.on(transport)
		var asked []int
		o.Reconnect = func(retry Retry) (time.Duration, bool) {
			asked = append(asked, retry.Attempts)
			return 0, retry.Attempts < 5
		}
		err := r.open(w.url, o).Run(r.within())
		if err == nil || !strings.Contains(err.Error(), "exhausted after 5 failed attempts") {
			t.Errorf("Run: %v", err)
		}
		for i, attempts := range asked {
			if attempts != i {
				t.Errorf("asked after %v attempts", asked)
				break
			}
		}
	})
}

// TestLastingConnectionsDoNotCount: behind one that lasted the policy begins anew.
func TestLastingConnectionsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []Retry
		c := New("http://tape", Options{Reconnect: func(retry Retry) (time.Duration, bool) {
			asked = append(asked, retry)
			return 0, false
		}})
		r := newRun(t.Context(), c)
		r.retries = retries{since: time.Now(), made: 3}
		for _, life := range []time.Duration{settledAfter - 1, settledAfter} {
			s := r.newSession(newTape(), WebSockets, target{})
			go func() {
				time.Sleep(life) // of the bubble
				s.end(errors.New("broken"))
			}()
			if err := r.runSessions(s); err == nil {
				t.Error("it was not lost")
			}
		}
		if len(asked) != 2 || asked[0].Attempts != 3 || asked[0].Elapsed != settledAfter-1 || asked[1].Attempts != 0 || asked[1].Elapsed != 0 {
			t.Errorf("asked %v", asked)
		}
	})
}

// TestRetryAfter: a server that is busy is asked again when it said, and no other transport is tried meanwhile.
func TestRetryAfter(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for _, place := range []string{"negotiate", "transport"} {
			t.Run(http.StatusText(status)+" "+place, func(t *testing.T) {
				t.Parallel()
				w := newWire(t, func(l *link) {
					l.shake()
					l.untilGone()
				})
				var refused, again time.Time
				w.before = func(rw http.ResponseWriter, q *http.Request) bool {
					if refused.IsZero() && strings.HasSuffix(q.URL.Path, "/negotiate") == (place == "negotiate") {
						refused = time.Now()
						rw.Header().Set("Retry-After", "1")
						rw.WriteHeader(status)
						return true
					}
					if !refused.IsZero() && again.IsZero() {
						again = time.Now()
					}
					return false
				}
				r := w.rig()
				o := w.options()
				o.Transports = nil
				o.Reconnect = ReconnectAfter(0)
				c := r.open(w.url, o)
				connected := make(chan Transport, 1)
				c.OnStateChange(func(_ context.Context, s StateChange) {
					if s.To == Connected {
						connected <- s.Transport
					}
				})
				go func() { _ = c.Run(r.within()) }()
				if got := receive(r, "the connection", connected); got != WebSockets {
					t.Errorf("connected by %s", got)
				}
				if waited := again.Sub(refused); waited < time.Second {
					t.Errorf("asked again after %v", waited)
				}
			})
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999999999": 0,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		if got := parseRetryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if got := parseRetryAfter(http.Header{"Retry-After": {date}}); got < 59*time.Minute || got > time.Hour {
		t.Errorf("%q: %v", date, got)
	}
	if got := retryAfter(&HTTPError{RetryAfter: 1000 * time.Hour}); got != maxRetryAfter {
		t.Errorf("a server puts the client off for %v", got)
	}
}

// TestPolicyThatFails: one that panics or ends its goroutine gives up.
func TestPolicyThatFails(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("x") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			r := &rig{T: t, combo: combos()[0]}
			var calls atomic.Int32
			url := answering(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
			o := r.options()
			o.Reconnect = func(Retry) (time.Duration, bool) {
				calls.Add(1)
				fail()
				return 0, true
			}
			c := r.open(url, o)
			if err := c.Run(r.within()); err == nil || !strings.Contains(err.Error(), "reconnect policy") || calls.Load() != 1 {
				t.Errorf("Run: %v after %d calls", err, calls.Load())
			}
		})
	}
}
