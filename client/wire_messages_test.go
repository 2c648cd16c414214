package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// TestWire shows every kind of message on the wire, both ways, in JSON.
func TestWire(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		done, answered := make(chan struct{}), make(chan struct{})
		w := newWire(t, func(l *link) {
			defer close(done)
			l.shake()
			l.expect(`{"type":1,"target":"Send","arguments":[1,"two",null]}`)
			l.expect(`{"type":1,"invocationId":"1","target":"Echo","arguments":["x"]}`)
			l.send(`{"type":6}` + record + `{"type":3,"invocationId":"1","result":"y"}` + record + `{"type":99}` + record)
			l.expect(`{"type":4,"invocationId":"2","target":"Stream","arguments":[]}`)
			l.send(`{"type":2,"invocationId":"2","item":1}` + record + `{"type":2,"invoca`)
			l.send(`tionId":"2","item":2}` + record)
			l.expect(`{"type":5,"invocationId":"2"}`)
			l.send(`{"type":2,"invocationId":"2","item":3}` + record + `{"type":3,"invocationId":"2"}` + record)
			l.expect(`{"type":1,"invocationId":"3","target":"Up","arguments":["and"],"streamIds":["4","5"]}`)
			items := map[string]int{}
			for range 5 { // two uploads: each in order, between them any
				line, _ := l.next()
				items[line]++
			}
			for _, want := range []string{`{"type":2,"invocationId":"4","item":1}`, `{"type":2,"invocationId":"4","item":2}`, `{"type":3,"invocationId":"4"}`, `{"type":2,"invocationId":"5","item":"a"}`, `{"type":3,"invocationId":"5","error":"no b"}`} {
				if items[want] != 1 {
					l.Errorf("no %s in %v", want, items)
				}
			}
			l.send(`{"type":3,"invocationId":"3","error":"server's words"}` + record)
			l.send(`{"type":1,"target":"Handle","arguments":["h",[1,2]]}` + record)
			l.send(`{"type":1,"invocationId":"s1","target":"Ask","arguments":[20]}` + record)
			l.expect(`{"type":3,"invocationId":"s1","result":21}`)
			l.send(`{"type":1,"invocationId":"s2","target":"Ask","arguments":["text"]}` + record)
			l.expect(`{"type":3,"invocationId":"s2","error":"Client failed to parse argument(s)."}`)
			l.send(`{"type":1,"invocationId":"s3","target":"Nobody","arguments":[]}` + record)
			l.expect(`{"type":3,"invocationId":"s3","error":"Client didn't provide a result."}`)
			close(answered)
			l.expect(`{"type":7}`)
			if transport == LongPolling {
				<-l.deleted
			}
			l.untilGone()
		})
		r := w.rig()
		o := w.on(transport)
		o.Header = http.Header{"X-Own": {"mine"}}
		o.AccessToken = func(context.Context) (string, error) { return "secret", nil }
		c := r.open(w.url+"?a=%20b", o)
		handled := make(chan string, 1)
		c.On("handle", Action2(func(_ context.Context, s string, n []int) error { handled <- s; return nil }))
		c.On("Ask", Func1(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
		r.start(c)
		if err := c.Send(r.within(), "Send", 1, "two", nil); err != nil {
			t.Error(err)
		}
		if got, err := Invoke[string](r.within(), c, "Echo", "x"); err != nil || got != "y" {
			t.Errorf("Echo: %q, %v", got, err)
		}
		for n, err := range Stream[int](r.within(), c, "Stream") {
			if err != nil {
				t.Error(err)
			}
			if n == 2 {
				break
			}
		}
		err := c.Invoke(r.within(), "Up", UploadSeq(func(yield func(int) bool) { _ = yield(1) && yield(2) }), "and",
			UploadSeq2(func(yield func(string, error) bool) { _ = yield("a", nil) && yield("", errors.New("no b")) }))
		r.hubError(err, "server's words")
		receive(r, "Handle", handled)
		receive(r, "all answers at the server", answered)
		if err := c.Stop(r.within()); err != nil {
			t.Error(err)
		}
		receive(r, "the end of the script", done)
		w.checkRequests(transport)
	})
}

func (w *wire) checkRequests(transport Transport) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	const id = "id=t%2B%2F%3D%26%3F"
	var get string
	for i, request := range w.requests {
		h := w.headers[i]
		if h.Get("Authorization") != "Bearer secret" || h.Get("X-Own") != "mine" || !strings.HasPrefix(h.Get("User-Agent"), "Carillon") {
			w.Errorf("headers of %s: %v", request, h)
		}
		if stream := h.Get("Accept") == "text/event-stream"; stream != (h.Get("X-Requested-With") == "") || stream != (h.Get("Cache-Control") == "no-cache") {
			w.Errorf("%s does not say what it is: %v", request, h)
		}
		method, uri, _ := strings.Cut(request, " ")
		switch {
		case i == 0:
			if uri != "/hub/negotiate?a=%20b&negotiateVersion=1" || method != http.MethodPost {
				w.Errorf("negotiation: %s", request)
			}
			continue
		case method == http.MethodPost:
			if uri != "/hub?a=%20b&"+id || h.Get("Content-Type") != "text/plain;charset=UTF-8" {
				w.Errorf("%s, %v", request, h)
			}
		case method == http.MethodDelete:
			if uri != "/hub?a=%20b&"+id {
				w.Errorf("request %s", request)
			}
		case method == http.MethodGet:
			get = h.Get("Accept")
		}
		if !strings.HasPrefix(uri, "/hub?a=%20b&"+id) {
			w.Errorf("request %s", request)
		}
	}
	if (get == "text/event-stream") != (transport == ServerSentEvents) {
		w.Errorf("Accept: %q", get)
	}
	// A poll that was dropped may be seen behind it.
	if transport == LongPolling && !slices.Contains(w.requests, "DELETE /hub?a=%20b&"+id) {
		w.Errorf("no DELETE in %v", w.requests)
	}
}

// TestWireMessagePack shows the same in MessagePack, where frames and bodies are binary.
func TestWireMessagePack(t *testing.T) {
	for _, transport := range []Transport{WebSockets, LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			w := newWire(t, func(l *link) {
				l.expect(`{"protocol":"messagepack","version":1}`)
				l.send("{}" + record + "\x02\x91\x06")
				if l.transport != LongPolling {
					l.expectBytes("\x02\x91\x06")
				}
				l.expectBytes("\x0e\x96\x01\x80\xa1" + "1" + "\xa4" + "Echo" + "\x91\xa1" + "x" + "\x90")
				l.send("\x08\x95\x03\x80\xa1" + "1" + "\x03\xa1" + "y")
				l.expectBytes("\x0e\x96\x01\x80\xc0\xa4" + "Send" + "\x93\x01\xc3\xc0\x90")
				l.send("\x0f\x96\x01\x80\xa1" + "s" + "\xa6" + "Handle" + "\x91\x07\x90")
				l.expectBytes("\x07\x95\x03\x80\xa1" + "s" + "\x03\x08")
				l.send("\x04\x93\x07\xc0\xc2")
				l.end()
				l.untilGone()
			})
			o := w.on(transport)
			o.Protocol = combos()[1].protocol
			r := w.rig()
			c := r.open(w.url, o)
			ended := make(chan error, 1)
			c.OnStateChange(func(_ context.Context, s StateChange) {
				if s.To == Disconnected {
					ended <- s.Err
				}
			})
			c.On("Handle", Func1(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
			r.start(c)
			if got, err := Invoke[string](r.within(), c, "Echo", "x"); err != nil || got != "y" {
				t.Errorf("Echo: %q, %v", got, err)
			}
			if err := c.Send(r.within(), "Send", 1, true, nil); err != nil {
				t.Error(err)
			}
			if err := receive(r, "the end", ended); err != nil {
				t.Errorf("ended with %v", err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for i, h := range w.headers {
				if strings.HasPrefix(w.requests[i], "POST /hub?") && h.Get("Content-Type") != "application/octet-stream" {
					t.Errorf("%s with %s", w.requests[i], h.Get("Content-Type"))
				}
			}
		})
	}
}

// TestWebSocketFrames: text for JSON, binary for MessagePack, and a close frame 1000 at the end.
func TestWebSocketFrames(t *testing.T) {
	links := make(chan *link, 1)
	w := newWire(t, func(l *link) {
		links <- l
		l.shake()
		l.expect(`{"type":7}`)
		l.untilGone()
	})
	r := w.rig()
	c := r.start(r.open(w.url, w.on(WebSockets)))
	if err := c.Stop(r.within()); err != nil {
		t.Error(err)
	}
	l := <-links
	if kind := <-l.kinds; kind != websocket.TextMessage {
		t.Errorf("the handshake came in a message of type %d", kind)
	}
	if err := receive(r, "the end of the WebSocket", l.closed); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the WebSocket ended with %v", err)
	}
}
