package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// soon is the time limit of a client that meets a server which never answers.
const soon = 100 * time.Millisecond

// answering starts a server that answers every request alike.
func answering(t *testing.T, handle http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.URL
}

func TestBadNegotiation(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   string
	}{
		"an error of the server":  {200, `{"error":"not today"}`, "client: failed to complete negotiation with the server: not today"},
		"a status":                {400, "Some response from server", "client: negotiate: Some response from server: status code '400'"},
		"a status without a body": {401, "", "client: negotiate: Unauthorized: status code '401'"},
		"not JSON":                {200, "<html>", "client: failed to complete negotiation with the server: invalid negotiation response"},
		"the other SignalR":       {200, `{"ProtocolVersion":"1.5"}`, "ASP.NET SignalR"},
		"no id":                   {200, `{"negotiateVersion":1}`, "no connectionId"},
		"no token":                {200, `{"negotiateVersion":1,"connectionId":"x"}`, "no connectionToken"},
		"stateful unasked":        {200, `{"connectionId":"x","useStatefulReconnect":true}`, "stateful reconnect"},
		"no transport":            {200, `{"connectionId":"x","availableTransports":[{"transport":"Pigeons","transferFormats":["Text"]}]}`, ErrNoTransport.Error()},
		"endless":                 {200, strings.Repeat(" ", maxNegotiation+1), "too long"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &rig{T: t, combo: combos()[0]}
			url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			err := r.open(url, r.options()).Start(r.within())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Start: %v", err)
			}
		})
	}
}

func TestBadURL(t *testing.T) {
	for _, url := range []string{"", "ftp://x", "http://[", "://"} {
		if err := New(url, Options{}).Start(t.Context()); err == nil {
			t.Errorf("%q was started", url)
		}
	}
}

func TestRedirectLoop(t *testing.T) {
	r := &rig{T: t, combo: combos()[0]}
	var requests atomic.Int32
	url := answering(t, func(w http.ResponseWriter, q *http.Request) {
		asked := requests.Add(1)
		if asked > 1 && q.Header.Get("Authorization") != fmt.Sprintf("Bearer token %d", asked-1) {
			t.Errorf("request %d: %v", asked, q.Header)
		}
		fmt.Fprintf(w, `{"url":"/next/%d?x=%d","accessToken":"token %d"}`, asked, asked, asked)
	})
	if err := r.open(url, r.options()).Start(r.within()); !errors.Is(err, ErrTooManyRedirects) || requests.Load() != maxRedirects {
		t.Errorf("Start: %v after %d requests", err, requests.Load())
	}
}

// TestSilentServer: whatever it is that never comes, Start ends within its time limits.
func TestSilentServer(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		for _, hanging := range []string{"negotiation", "transport", "handshake"} {
			t.Run(hanging, func(t *testing.T) {
				w := newWire(t, func(l *link) { l.untilGone() })
				w.before = func(_ http.ResponseWriter, q *http.Request) bool {
					negotiation := strings.HasSuffix(q.URL.Path, "/negotiate")
					if hanging == "negotiation" && negotiation || hanging == "transport" && q.Method == http.MethodGet {
						<-w.ended
						return true
					}
					return false
				}
				o := w.on(transport)
				o.CloseTimeout = soon
				switch hanging { // what works gets time, on a machine that is busy
				case "negotiation":
					o.RequestTimeout = soon
				case "transport":
					o.HandshakeTimeout = soon
				case "handshake":
					o.HandshakeTimeout = time.Second
				}
				r := w.rig()
				err := r.open(w.url, o).Start(r.within())
				want := map[string]error{"negotiation": context.DeadlineExceeded, "transport": errNoAnswer, "handshake": errNoHandshake}
				if !errors.Is(err, want[hanging]) {
					t.Errorf("Start: %v", err)
				}
			})
		}
	})
}

// TestStopWhileStarting: Stop and the end of ctx reach every stage of a start.
func TestStopWhileStarting(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		for _, hanging := range []string{"negotiation", "transport", "handshake"} {
			t.Run(hanging, func(t *testing.T) {
				there := make(chan struct{}, 10)
				w := newWire(t, func(l *link) {
					there <- struct{}{}
					l.untilGone()
				})
				w.before = func(_ http.ResponseWriter, q *http.Request) bool {
					negotiation := strings.HasSuffix(q.URL.Path, "/negotiate")
					if hanging == "negotiation" && negotiation || hanging == "transport" && q.Method == http.MethodGet {
						there <- struct{}{}
						<-w.ended
						return true
					}
					return false
				}
				r := w.rig()
				c := r.open(w.url, w.on(transport))
				started := make(chan error, 1)
				go func() { started <- c.Start(r.within()) }()
				receive(r, "the request", there)
				if err := c.Stop(r.within()); err != nil {
					t.Errorf("Stop: %v", err)
				}
				if err := receive(r, "the end of Start", started); !errors.Is(err, ErrStopped) {
					t.Errorf("Start: %v", err)
				}
				ctx, cancel := context.WithCancel(r.within())
				go func() { started <- c.Start(ctx) }()
				receive(r, "the request", there)
				cancel()
				if err := receive(r, "the end of Start", started); !errors.Is(err, context.Canceled) {
					t.Errorf("Start: %v", err)
				}
				if c.State() != Disconnected {
					t.Errorf("state %v", c.State())
				}
			})
		}
	})
}

// ending plays a script behind the handshake and returns how the connection ended, and how a call
// that was in flight did.
func ending(t *testing.T, transport Transport, change func(*Options), script func(*link)) (cause, call error) {
	t.Helper()
	w := newWire(t, func(l *link) {
		l.shake()
		l.expect(`{"type":1,"invocationId":"1","target":"Wait","arguments":[]}`)
		script(l)
		l.untilGone()
	})
	o := w.on(transport)
	if change != nil {
		change(&o)
	}
	r := w.rig()
	c := r.open(w.url, o)
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected {
			ended <- s.Err
		}
	})
	r.start(c)
	call = c.Invoke(r.within(), "Wait")
	return receive(r, "the end", ended), call
}

func TestBadMessages(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		for _, bad := range []string{"no JSON", `{"type":1}`, `[]`, `{"type":"x"}`, `{"type":3,"invocationId":"1","result":1,"error":"x"}`} {
			cause, call := ending(t, transport, nil, func(l *link) { l.send(bad + record) })
			if cause == nil || !errors.Is(call, ErrConnectionLost) || !strings.Contains(call.Error(), cause.Error()) {
				t.Errorf("%s: ended with %v; the call with %v", bad, cause, call)
			}
		}
	})
}

func TestHugeMessage(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		limit := func(o *Options) { o.MaxMessageSize = 1000 }
		cause, call := ending(t, transport, limit, func(l *link) { l.send(strings.Repeat("x", 3000)) }) // no end in sight
		if cause == nil || !strings.Contains(cause.Error(), "maximum message size of 1000B was exceeded") || !errors.Is(call, ErrConnectionLost) {
			t.Errorf("ended with %v, the call with %v", cause, call)
		}
	})
}

// TestEndlessEvent: an event has a limit too, above that of a message.
func TestEndlessEvent(t *testing.T) {
	cause, _ := ending(t, ServerSentEvents, func(o *Options) { o.MaxMessageSize = 1000 }, func(l *link) {
		l.send(strings.Repeat("x", 2*mebibyte))
	})
	if !errors.Is(cause, bufio.ErrTooLong) {
		t.Errorf("ended with %v", cause)
	}
}

func TestDeathInStream(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) {
			l.shake()
			l.expect(`{"type":4,"invocationId":"1","target":"Stream","arguments":[]}`)
			l.send(`{"type":2,"invocationId":"1","item":1}` + record)
			l.send(`{"type":2,"invocationId":"1","item":2}` + record + `{"type":2,"invo`)
			l.expect(`{"type":1,"target":"Got","arguments":[2]}`)
			l.cut()
		})
		r := w.rig()
		c := r.start(r.open(w.url, w.on(transport)))
		var got []int
		var last error
		for n, err := range Stream[int](r.within(), c, "Stream") {
			if last = err; err != nil {
				break
			}
			if got = append(got, n); n == 2 {
				if err := c.Send(r.within(), "Got", 2); err != nil {
					t.Error(err)
				}
			}
		}
		if len(got) != 2 || !errors.Is(last, ErrConnectionLost) {
			t.Errorf("got %v, then %v", got, last)
		}
	})
}

func TestFailedPosts(t *testing.T) {
	for _, transport := range []Transport{ServerSentEvents, LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			w := newWire(t, func(l *link) {
				l.expect(`{"protocol":"json","version":1}`)
				l.send("{}" + record)
				l.untilGone()
			})
			var posts atomic.Int32
			w.before = func(rw http.ResponseWriter, q *http.Request) bool {
				if q.Method != http.MethodPost || strings.HasSuffix(q.URL.Path, "/negotiate") {
					return false
				}
				body, _ := io.ReadAll(q.Body)
				q.Body = io.NopCloser(strings.NewReader(string(body)))
				if !strings.Contains(string(body), "Bad") {
					return false
				}
				posts.Add(1)
				http.Error(rw, "broken", http.StatusInternalServerError)
				return true
			}
			r := w.rig()
			c := r.start(r.open(w.url, w.on(transport)))
			err := c.Invoke(r.within(), "Bad")
			answer := new(HTTPError)
			if !errors.Is(err, ErrConnectionLost) || !errors.As(err, &answer) || answer.StatusCode != 500 || answer.Op != "send" {
				t.Errorf("Invoke: %v", err)
			}
			if posts.Load() != 1 {
				t.Errorf("%d posts: what failed must not be sent again", posts.Load())
			}
		})
	}
}

func TestServerEnds(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		closing := func(message string) func(*link) {
			return func(l *link) {
				l.send(message + record)
				l.end()
			}
		}
		cause, call := ending(t, transport, nil, closing(`{"type":7}`))
		if cause != nil || !errors.Is(call, ErrConnectionLost) {
			t.Errorf("close without an error: %v, %v", cause, call)
		}
		cause, _ = ending(t, transport, nil, closing(`{"type":7,"error":"words","allowReconnect":true}`))
		if closed := new(CloseError); !errors.As(cause, &closed) || closed.Message != "words" {
			t.Errorf("close with an error: %v", cause)
		}
		if cause, _ = ending(t, transport, nil, func(l *link) { l.end() }); cause != nil {
			t.Errorf("an end without a close message: %v", cause)
		}
		if cause, _ = ending(t, transport, nil, func(l *link) { l.cut() }); cause == nil {
			t.Error("a cut connection ended without an error")
		}
	})
}

func TestRefusedHandshake(t *testing.T) {
	w := newWire(t, func(l *link) {
		l.expect(`{"protocol":"json","version":1}`)
		l.send(`{"error":"no such protocol"}` + record)
		l.end()
		l.untilGone()
	})
	r := w.rig()
	err := r.open(w.url, w.options()).Start(r.within())
	if refused := new(HandshakeError); !errors.As(err, &refused) || refused.Message != "no such protocol" {
		t.Errorf("Start: %v", err)
	}
	if n := len(w.seen()); n != 2 {
		t.Errorf("%d requests: a refusal is the same on every transport", n)
	}
}

// TestReasonBehindFailedPost: a POST that comes too late is not the reason of the end; what the server
// says on the other way is.
func TestReasonBehindFailedPost(t *testing.T) {
	for _, transport := range []Transport{ServerSentEvents, LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			refused := make(chan struct{})
			w := newWire(t, func(l *link) {
				l.expect(`{"protocol":"json","version":1}`)
				l.send("{}" + record)
				l.scripts.Go(l.untilGone) // a ping, perhaps
				select {
				case <-refused:
				case <-l.ended:
				}
				l.send(`{"type":7,"error":"the reason"}` + record)
				l.end()
			})
			w.before = func(rw http.ResponseWriter, q *http.Request) bool {
				body, _ := io.ReadAll(q.Body)
				q.Body = io.NopCloser(strings.NewReader(string(body)))
				if !strings.Contains(string(body), "Late") {
					return false
				}
				rw.WriteHeader(http.StatusNotFound)
				close(refused)
				return true
			}
			r := w.rig()
			c := r.start(r.open(w.url, w.on(transport)))
			err := c.Invoke(r.within(), "Late")
			if closed := new(CloseError); !errors.As(err, &closed) || closed.Message != "the reason" {
				t.Errorf("Invoke: %v", err)
			}
		})
	}
}

// TestEndlessHead: the head of an answer has a limit, the one to a WebSocket's handshake too.
func TestEndlessHead(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) { l.untilGone() })
		var sent atomic.Int64
		w.before = func(rw http.ResponseWriter, q *http.Request) bool {
			if q.Method != http.MethodGet {
				return false
			}
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return true
			}
			defer conn.Close()
			line := []byte(strings.Repeat("a:\r\n", 1000))
			for {
				n, err := conn.Write(line)
				if sent.Add(int64(n)); err != nil {
					return true
				}
			}
		}
		if n := newNetwork(Options{}); n.own.MaxResponseHeaderBytes != maxResponseHead {
			t.Errorf("heads may have %d bytes", n.own.MaxResponseHeaderBytes)
		}
		r := w.rig()
		err := r.open(w.url, w.on(transport)).Start(r.within())
		if err == nil || errors.Is(err, errNoAnswer) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start: %v behind %d bytes", err, sent.Load())
		}
	})
}
