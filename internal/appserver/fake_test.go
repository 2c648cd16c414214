package appserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/serviceclient"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// patience is the time for what must happen.
const patience = 30 * time.Second

// output is a log that a test reads.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// place is the hub "chat" with application servers.
type place struct {
	*testing.T
	url     string
	keys    *accesskey.Keys
	hosted  *hosting.Hub
	servers *Servers
	service *Service
	log     output
}

func newPlace(t *testing.T, o ServersOptions) *place {
	t.Helper()
	p := &place{T: t}
	var err error
	if p.keys, err = accesskey.Parse([]string{accesskey.New()}, nil, accesskey.Options{}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Logger = log
	p.servers = NewServers(o)
	p.hosted = hosting.New("chat", hosting.Options{Options: hub.Options{Relay: p.servers, Logger: log}})
	p.hosted.SetKeys(p.keys)
	p.servers.Attach(p.hosted)
	p.service = New(Options{Servers: func(string) (*Servers, *accesskey.Keys) { return p.servers, p.keys }})
	e := endpoint.Recommended()
	e.Logger = log
	clients := serviceclient.New(p.hosted, e, p.servers.Ready)
	mux := http.NewServeMux()
	mux.Handle("/server/", p.service)
	mux.Handle("/client/", clients)
	http := httptest.NewServer(mux)
	p.url = "ws" + strings.TrimPrefix(http.URL, "http")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := clients.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := p.service.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		http.Close()
		p.servers.Close()
		if n := len(p.servers.clients) + len(p.servers.homeless) + len(p.servers.asked) + len(p.servers.links) + len(p.servers.departures); n > 0 {
			t.Errorf("%d clients, servers and questions are left", n)
		}
	})
	return p
}

func (p *place) dial(path, user string, claims ...accesskey.Claim) *websocket.Conn {
	p.Helper()
	token, err := p.keys.Sign(accesskey.Grant{Audience: "http://host" + path + "?hub=chat", UserID: user, Claims: claims, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		p.Fatal(err)
	}
	c, answer, err := websocket.DefaultDialer.Dial(p.url+path+"?hub=chat&cid=x", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		p.Fatal(err)
	}
	_ = answer.Body.Close()
	p.Cleanup(func() { _ = c.Close() })
	return c
}

// fake is a connection of an application server.
type fake struct {
	*place
	socket  *websocket.Conn
	writing sync.Mutex

	mu    sync.Mutex
	heard []serviceprotocol.Message
	news  chan struct{} // closed when heard grows
	mute  bool          // it answers no invocations
	shook map[string]bool
}

// server connects an application server. It answers handshakes, and invocations with null.
func (p *place) server(id string, migration serviceprotocol.Migration) *fake {
	p.Helper()
	p.servers.mu.Lock()
	before := slices.Clone(p.servers.links)
	p.servers.mu.Unlock()
	f := &fake{place: p, socket: p.dial("/server/", id), news: make(chan struct{}), shook: map[string]bool{}}
	f.say(&serviceprotocol.Message{Type: serviceprotocol.HandshakeRequest, Version: 1, Migration: migration})
	go f.listen()
	f.hear(func(m *serviceprotocol.Message) bool {
		return m.Type == serviceprotocol.HandshakeResponse && m.Text == ""
	})
	p.eventually(func(s *Servers) bool {
		return slices.ContainsFunc(s.links, func(l *link) bool { return !slices.Contains(before, l) })
	})
	return f
}

func (f *fake) say(all ...*serviceprotocol.Message) {
	var wire []byte
	for _, m := range all {
		wire = serviceprotocol.Append(wire, m)
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	_ = f.socket.WriteMessage(websocket.BinaryMessage, wire)
}

func (f *fake) listen() {
	in := &input{socket: f.socket}
	for {
		var m serviceprotocol.Message
		if _, err := in.next(&m); err != nil {
			return
		}
		m.Data = bytes.Clone(m.Data)
		f.mu.Lock()
		f.heard = append(f.heard, m)
		close(f.news)
		f.news = make(chan struct{})
		mute := f.mute
		f.mu.Unlock()
		if m.Type == serviceprotocol.ConnectionData {
			f.answer(&m, mute)
		}
	}
}

func (f *fake) answer(m *serviceprotocol.Message, mute bool) {
	for _, text := range strings.SplitAfter(string(m.Data), "\x1e") {
		_, id, _ := strings.Cut(text, `"invocationId":"`)
		id, _, _ = strings.Cut(id, `"`)
		switch {
		case strings.Contains(text, `"protocol"`):
			text = "{}\x1e"
		case strings.Contains(text, `"type":1`) && id != "" && !mute:
			text = fmt.Sprintf("{\"type\":3,\"invocationId\":%q,\"result\":null}\x1e", id)
		default:
			continue
		}
		f.say(&serviceprotocol.Message{Type: serviceprotocol.ConnectionData, Connection: m.Connection, Data: []byte(text)})
	}
}

// hear waits for a message, and returns it with its place among all.
func (f *fake) hear(is func(*serviceprotocol.Message) bool) (serviceprotocol.Message, int) {
	f.Helper()
	late := time.After(patience)
	for {
		f.mu.Lock()
		for i := range f.heard {
			if m := f.heard[i]; is(&m) {
				f.mu.Unlock()
				return m, i
			}
		}
		news := f.news
		f.mu.Unlock()
		select {
		case <-news:
		case <-late:
			f.Fatalf("the server heard only %+v", f.heard)
		}
	}
}

// hearData waits for data of a client that contains a text.
func (f *fake) hearData(text string) serviceprotocol.Message {
	f.Helper()
	m, _ := f.hear(func(m *serviceprotocol.Message) bool {
		return m.Type == serviceprotocol.ConnectionData && bytes.Contains(m.Data, []byte(text))
	})
	return m
}

func (f *fake) setMute(mute bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = mute
}

// user is a client with the protocol json.
type user struct {
	*place
	socket *websocket.Conn
	texts  []string // that were read and not expected yet
}

// client connects a client.
func (p *place) client(claims ...accesskey.Claim) *user {
	p.Helper()
	u := &user{place: p, socket: p.dial("/client/", "u", claims...)}
	u.say(`{"protocol":"json","version":1}`)
	u.hear("{}")
	return u
}

func (u *user) say(text string) {
	u.Helper()
	if err := u.socket.WriteMessage(websocket.TextMessage, []byte(text+"\x1e")); err != nil {
		u.Fatal(err)
	}
}

// hear reads messages until one is the text.
func (u *user) hear(text string) {
	u.Helper()
	for got := ""; got != text; {
		var err error
		if got, err = u.next(); err != nil {
			u.Fatalf("waiting for %s: %v", text, err)
		}
	}
}

func (u *user) next() (string, error) {
	for len(u.texts) == 0 {
		_ = u.socket.SetReadDeadline(time.Now().Add(patience))
		_, data, err := u.socket.ReadMessage()
		if err != nil {
			return "", err
		}
		u.texts = strings.Split(strings.TrimSuffix(string(data), "\x1e"), "\x1e")
	}
	text := u.texts[0]
	u.texts = u.texts[1:]
	return text, nil
}

// call invokes a method, and waits for the answer.
func (u *user) call(id string) {
	u.Helper()
	u.invoke(id)
	u.hear(`{"type":3,"invocationId":"` + id + `","result":null}`)
}

func (u *user) invoke(id string) {
	u.Helper()
	u.say(`{"type":1,"invocationId":"` + id + `","target":"M","arguments":[]}`)
}

// waitEnd waits until the connection has ended.
func (u *user) waitEnd() {
	u.Helper()
	for {
		if _, err := u.next(); err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				u.Fatal(err)
			}
			return
		}
	}
}
