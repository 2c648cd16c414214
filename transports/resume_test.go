package transports_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// runResume tests stateful connections whose carrier breaks or is replaced.
func runResume(t *testing.T, of carrier) {
	tests := map[string]func(*returning){
		"resume":            (*returning).testResume,
		"take over":         (*returning).testTakeOver,
		"take over by many": (*returning).testTakeOverByMany,
		"shutdown":          (*returning).testShutdownWhileAway,
	}
	if of.kind != transports.WebSockets { // a carrier consists of many requests
		tests["late requests"] = (*returning).testLateRequests
		tests["late body"] = (*returning).testLateBody
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(startReturning(t, of, transports.Options{})) })
	}
	t.Run("nobody comes", func(t *testing.T) {
		startReturning(t, of, transports.Options{DisconnectTimeout: time.Millisecond}).testNobodyComes()
	})
}

// returning is an application with one connection that outlives its carriers. It records its
// calls in order.
type returning struct {
	*server
	url     string
	resumed int
	c       *connection.Connection
	mu      sync.Mutex
	events  []string
	news    chan struct{}
}

// startReturning serves a returning application and negotiates its connection.
func startReturning(t *testing.T, of carrier, o transports.Options) *returning {
	t.Helper()
	o.AllowStatefulReconnect = true
	r := &returning{server: &server{t: t, kind: of.kind}, news: make(chan struct{}, 1000)}
	r.serve(r, of, o)
	c, err := r.registry.Create(&http.Request{}, true, signalr.Transports()...)
	if err != nil {
		t.Fatal(err)
	}
	r.url = r.http.URL + "/?id=" + c.Token()
	return r
}

func (r *returning) Connect(c transports.Connection) (transports.Receiver, error) {
	r.c = c.(*connection.Connection)
	r.note("connect")
	return r, nil
}

func (r *returning) note(event string) {
	r.mu.Lock()
	r.events = append(r.events, event)
	r.mu.Unlock()
	r.news <- struct{}{}
}

func (r *returning) Receive(data []byte) error { r.note(string(bytes.Clone(data))); return nil }
func (r *returning) Interrupted()              { r.note("interrupted") }
func (r *returning) Disconnected(error)        { r.note("disconnected") }
func (r *returning) Resumed() {
	_ = r.c.Send(frame.New([]byte("welcome back"), false))
	r.note("resumed")
}

// await waits for as many calls as want has, and checks that these were the last calls.
func (r *returning) await(want ...string) {
	r.t.Helper()
	for range want {
		select {
		case <-r.news:
		case <-time.After(patience):
			r.t.Fatalf("called %q, want %q behind it", r.calls(), want)
		}
	}
	if all := r.calls(); !slices.Equal(all[len(all)-len(want):], want) {
		r.t.Fatalf("called %q, want %q at the end", all, want)
	}
}

func (r *returning) calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// number returns the URL of the n-th resumption. Clients of WebSockets need not send the
// number.
func (r *returning) number(n int) string {
	if n == 0 || r.kind == transports.WebSockets {
		return r.url
	}
	return fmt.Sprintf("%s&carillonResume=%d", r.url, n)
}

// comeBack opens the transport. Every call but the first resumes the connection.
func (r *returning) comeBack() client {
	r.t.Helper()
	c := r.dial(r.number(r.resumed))
	r.resumed++
	return c
}

// interruption returns the application's calls when a carrier breaks: none between two polls,
// because a break there looks like the usual pause.
func (r *returning) interruption() []string {
	if r.kind == transports.LongPolling {
		return nil
	}
	return []string{"interrupted"}
}

func (r *returning) testResume() {
	first := r.comeBack()
	r.await("connect")
	first.send("one")
	r.await("one")
	first.drop()
	r.await(r.interruption()...)
	if err := r.c.Send(frame.New([]byte("lost"), false)); err != nil {
		r.t.Error(err)
	}
	second := r.comeBack()
	r.await([]string{"interrupted", "resumed"}[len(r.interruption()):]...)
	expect(r.t, second, "welcome back")
	second.send("two")
	r.await("two")
}

// A newer carrier takes over from one that is still open.
func (r *returning) testTakeOver() {
	first := r.comeBack()
	r.await("connect")
	ended := make(chan error, 1)
	go func() { // awaited below
		_, err := first.receive()
		ended <- err
	}()
	second := r.comeBack()
	r.await("interrupted", "resumed")
	expect(r.t, second, "welcome back")
	if err := <-ended; err == nil {
		r.t.Error("the older one goes on")
	}
	second.send("two")
	r.await("two")
	if r.kind != transports.ServerSentEvents { // the end of an event stream is never an orderly one
		second.leave()
		r.await("disconnected")
	}
}

// Many newer carriers open at the same time: calls come in pairs, and the last carrier works.
func (r *returning) testTakeOverByMany() {
	r.comeBack()
	r.await("connect")
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() { r.appear(r.number(n + 1)) })
	}
	all.Wait()
	r.resumed = 21
	expect(r.t, r.comeBack(), "welcome back")
	away := false
	for _, event := range r.calls() {
		if event == "interrupted" && away || event == "resumed" && !away || event == "x" && away {
			r.t.Fatalf("%q while away is %v: %q", event, away, r.calls())
		}
		away = event == "interrupted" || away && event != "resumed"
	}
}

// appear opens the transport, sends data and closes it. The server may refuse it.
func (r *returning) appear(url string) {
	if r.kind == transports.WebSockets {
		c, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
		if err == nil {
			_ = response.Body.Close()
			_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
			_ = c.NetConn().Close()
		}
		return
	}
	r.request(http.MethodGet, url, nil)
	r.request(http.MethodPost, url, strings.NewReader("x"))
}

// request sends a GET or a POST as carriers of this kind do. status is 0 if it was cut.
func (r *returning) request(method, url string, body io.Reader) (status int) {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0
	}
	if r.kind == transports.ServerSentEvents {
		q.Header.Set("Accept", "text/event-stream")
	}
	response, err := r.http.Client().Do(q)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// Late requests of an older carrier are refused, and their data is not received.
func (r *returning) testLateRequests() {
	r.comeBack()
	r.await("connect")
	second := r.comeBack()
	r.await("interrupted", "resumed")
	for name, status := range map[string]int{
		"GET":                   r.request(http.MethodGet, r.number(0), nil),
		"POST":                  r.request(http.MethodPost, r.number(0), strings.NewReader("late")),
		"POST from what is not": r.request(http.MethodPost, r.number(2), strings.NewReader("early")),
	} {
		if status != http.StatusConflict {
			r.t.Errorf("%s: %d", name, status)
		}
	}
	if r.kind == transports.ServerSentEvents {
		if status := r.request(http.MethodGet, r.number(1), nil); status != http.StatusConflict {
			r.t.Errorf("the same stream again: %d", status)
		}
	}
	second.send("two")
	r.await("two")
}

// The rest of a body that belongs to an older carrier is not read, and no call waits for it.
func (r *returning) testLateBody() {
	r.comeBack()
	r.await("connect")
	body, half := io.Pipe()
	posted := make(chan struct{})
	go func() { // awaited below
		defer close(posted)
		r.request(http.MethodPost, r.number(0), body)
	}()
	_, _ = half.Write([]byte("half"))
	r.await("half")
	second := r.comeBack()
	r.await("interrupted", "resumed")
	second.send("two")
	r.await("two")
	_, _ = half.Write([]byte("late"))
	_ = half.Close()
	<-posted
	second.send("three")
	r.await("three")
}

func (r *returning) testNobodyComes() {
	r.comeBack().drop()
	r.await(slices.Concat([]string{"connect"}, r.interruption(), []string{"disconnected"})...)
	r.awaitEmpty()
}

// A connection without a carrier does not delay the registry's shutdown.
func (r *returning) testShutdownWhileAway() {
	r.comeBack().drop()
	r.await(slices.Concat([]string{"connect"}, r.interruption())...)
	if err := r.registry.Shutdown(r.t.Context()); err != nil || r.registry.Len() != 0 {
		r.t.Errorf("%v, %d are left", err, r.registry.Len())
	}
	r.await("disconnected")
}
