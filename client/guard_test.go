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

// leaver decodes and encodes itself by ending its goroutine, or by a panic.
type leaver struct{ leave func() }

func (l *leaver) UnmarshalJSON([]byte) error {
	runtime.Goexit()
	return nil
}

func (l leaver) MarshalJSON() ([]byte, error) {
	l.leave()
	return nil, nil
}

// failures of code of the application.
var failures = map[string]func(){"panic": func() { panic("x") }, "Goexit": runtime.Goexit}

// TestHandlersThatFail: no way to fail keeps the callbacks behind it from running, nor the server waiting.
func TestHandlersThatFail(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			onTape(t, Options{ServerTimeout: -1, KeepAliveInterval: -1}, LongPolling, func(t *testing.T, c *HubConnection, tape *tape) {
				synctest.Wait() // the change to Connected is reported before there are observers
				var ran []string
				c.On("Action", Action0(func(context.Context) error { fail(); return nil }))
				c.On("Action", Action0(func(context.Context) error { ran = append(ran, "the other handler"); return nil }))
				c.On("Func", Func0(func(context.Context) (int, error) { fail(); return 0, nil }))
				c.On("Encode", Func0(func(context.Context) (leaver, error) { return leaver{fail}, nil }))
				c.On("Decode", Action1(func(context.Context, leaver) error { return nil }))
				c.On("Last", Func0(func(context.Context) (int, error) { return 1, nil }))
				c.OnStateChange(func(context.Context, StateChange) { fail() })
				c.OnStateChange(func(_ context.Context, s StateChange) { ran = append(ran, s.To.String()) })
				c.OnAuthenticationRefreshed(func(context.Context, time.Duration) { fail() })
				c.OnAuthenticationRefreshed(func(context.Context, time.Duration) { ran = append(ran, "refreshed") })
				c.OnAuthenticationRefreshFailed(func(context.Context, error) { fail() })
				c.OnAuthenticationRefreshFailed(func(context.Context, error) { ran = append(ran, "not refreshed") })
				run := c.current
				run.notifyRefreshed(refreshed{})
				run.notifyRefreshed(refreshed{err: errors.New("no")})
				c.enter(run, StateChange{To: Reconnecting})
				synctest.Wait()
				for i, target := range []string{"Action", "Func", "Encode", "Decode", "Last"} {
					tape.feed <- `{"type":1,"invocationId":"` + string(rune('0'+i)) + `","target":"` + target + `","arguments":[` + map[bool]string{true: "1"}[target == "Decode"] + `]}` + record
				}
				synctest.Wait()
				if got, want := strings.Join(ran, ", "), "refreshed, not refreshed, Reconnecting, the other handler"; got != want {
					t.Errorf("ran %s; want %s", got, want)
				}
				said := strings.Join(tape.said()[1:], "\n")
				for _, want := range []string{
					`"0","error":"` + noResult, `"1","error":"` + handlerFailed, `"2","error":"`, `"4","result":1`,
				} {
					if !strings.Contains(said, want) {
						t.Errorf("no %s in\n%s", want, said)
					}
				}
				if used := inUse(c); used != 0 {
					t.Errorf("%d bytes are still counted", used)
				}
			})
		})
	}
}

// TestUploadsThatFail: the server learns that the upload is over.
func TestUploadsThatFail(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			onTape(t, Options{}, LongPolling, func(t *testing.T, c *HubConnection, tape *tape) {
				if err := c.Send(t.Context(), "Up", UploadSeq(func(func(int) bool) { fail() })); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				said := tape.said()
				if last := said[len(said)-1]; len(said) != 3 || !strings.Contains(last, `"invocationId":"1","error":`) {
					t.Errorf("sent %v", said)
				}
			})
		})
	}
}

// TestDecodersThatFail: they run in the goroutine of the caller, and end only that.
func TestDecodersThatFail(t *testing.T) {
	onTape(t, Options{ServerTimeout: -1, KeepAliveInterval: -1}, LongPolling, func(t *testing.T, c *HubConnection, tape *tape) {
		over := make(chan struct{}, 2)
		go func() {
			defer func() { over <- struct{}{} }()
			_, _ = Invoke[leaver](t.Context(), c, "Call")
			t.Error("Invoke goes on")
		}()
		synctest.Wait()
		tape.feed <- `{"type":3,"invocationId":"1","result":1}` + record
		<-over
		go func() {
			defer func() { over <- struct{}{} }()
			for range Stream[leaver](t.Context(), c, "Stream") {
				t.Error("Stream goes on")
			}
		}()
		synctest.Wait()
		tape.feed <- `{"type":2,"invocationId":"2","item":1}` + record
		<-over
		synctest.Wait()
		if said := tape.said(); !strings.HasSuffix(said[len(said)-1], `{"type":5,"invocationId":"2"}`) || inUse(c) != 0 || c.session.Load().ctx.Err() != nil {
			t.Errorf("sent %v; %d bytes are still counted; %v", said, inUse(c), c.session.Load().ctx.Err())
		}
	})
}

// TestTokensThatFail: a token function that panics, ends its goroutine or does not return fails the request.
func TestTokensThatFail(t *testing.T) {
	forever := make(chan struct{})
	defer close(forever)
	ways := map[string]func(){"panic": failures["panic"], "Goexit": failures["Goexit"], "never returns": func() { <-forever }}
	for name, fail := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
			r := w.rig()
			o := w.on(LongPolling)
			o.RequestTimeout = soon
			var calls atomic.Int32
			o.AccessToken = func(context.Context) (string, error) {
				if calls.Add(1) == 1 {
					fail()
				}
				return "", nil
			}
			c := r.open(w.url, o)
			if err := c.Start(r.within()); err == nil {
				t.Error("it was started")
			}
			r.start(c)
		})
	}
}

// TestStopFromInside: Stop with a ctx that never ends returns in every function of the application that the connection
// waits for, and the connection ends.
func TestStopFromInside(t *testing.T) {
	places := map[string]func(c *HubConnection, o *Options, stop func()) (begin func(ctx context.Context)){
		"handler": func(c *HubConnection, _ *Options, stop func()) func(context.Context) {
			c.On("Handle", Action0(func(context.Context) error { stop(); return nil }))
			return nil
		},
		"state callback": func(c *HubConnection, _ *Options, stop func()) func(context.Context) {
			c.OnStateChange(func(_ context.Context, s StateChange) {
				if s.To == Connected {
					stop()
				}
			})
			return nil
		},
		"upload": func(c *HubConnection, _ *Options, stop func()) func(context.Context) {
			return func(ctx context.Context) {
				_ = c.Send(ctx, "Up", UploadSeq(func(func(int) bool) { stop() }))
			}
		},
		"refresh callback": func(c *HubConnection, _ *Options, stop func()) func(context.Context) {
			c.OnAuthenticationRefreshFailed(func(context.Context, error) { stop() })
			return func(ctx context.Context) { _, _ = c.RefreshAuthentication(ctx) }
		},
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, func(l *link) {
				l.shake()
				l.send(`{"type":1,"target":"Handle","arguments":[]}` + record)
				l.untilGone()
			})
			w.before = func(rw http.ResponseWriter, q *http.Request) bool {
				refresh := strings.HasSuffix(q.URL.Path, "/refresh")
				if refresh {
					rw.WriteHeader(http.StatusForbidden)
				}
				return refresh
			}
			r := w.rig()
			o := w.on(WebSockets)
			c := r.open(w.url, o)
			stopped := make(chan error, 1)
			begin := place(c, &o, func() { stopped <- c.Stop(context.Background()) })
			r.start(c)
			if begin != nil {
				begin(r.within())
			}
			if err := receive(r, "the return of Stop", stopped); err != nil {
				t.Errorf("Stop: %v", err)
			}
			if err := c.Stop(r.within()); err != nil || c.State() != Disconnected {
				t.Errorf("Stop from outside: %v; %v", err, c.State())
			}
		})
	}
}

// TestStopInTokensAndPolicies: the connection does not wait for them.
func TestStopInTokensAndPolicies(t *testing.T) {
	for _, name := range []string{"token", "policy"} {
		t.Run(name, func(t *testing.T) {
			r := &rig{T: t, combo: combos()[0]}
			url := answering(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
			o := r.options()
			stopped := make(chan error, 1)
			var c *HubConnection
			stop := func() { stopped <- c.Stop(context.Background()) }
			if name == "token" {
				o.AccessToken = func(context.Context) (string, error) { stop(); return "", nil }
			} else {
				o.Reconnect = func(Retry) (time.Duration, bool) { stop(); return 0, true }
			}
			c = r.open(url, o)
			_ = c.Run(r.within())
			if err := receive(r, "the return of Stop", stopped); err != nil {
				t.Errorf("Stop: %v", err)
			}
		})
	}
}

// TestRunEndsWithItsContext: a handler and an upload that heed nothing keep Run for CloseTimeout, and Stop as long as
// its ctx lasts.
func TestRunEndsWithItsContext(t *testing.T) {
	w := newWire(t, func(l *link) {
		l.shake()
		l.send(`{"type":1,"target":"Handle","arguments":[]}` + record)
		l.untilGone()
	})
	r := w.rig()
	o := w.on(WebSockets)
	o.CloseTimeout = soon
	c := r.open(w.url, o)
	free := make(chan struct{})
	t.Cleanup(func() { close(free) })
	running := make(chan struct{}, 2)
	wait := func() { running <- struct{}{}; <-free }
	c.On("Handle", Action0(func(context.Context) error { wait(); return nil }))
	c.OnStateChange(func(ctx context.Context, s StateChange) {
		if s.To == Connected {
			_ = c.Send(ctx, "Up", UploadSeq(func(func(int) bool) { wait() }))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	receive(r, "the handler", running)
	receive(r, "the upload", running)
	cancel()
	if err := receive(r, "the end of Run", ended); err != nil {
		t.Errorf("Run: %v", err)
	}
	brief, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := c.Stop(brief); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v", err)
	}
}
