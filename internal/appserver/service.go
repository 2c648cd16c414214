package appserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/authlog"
	"github.com/carillon-go/carillon/internal/floodgate"
)

// Options configure a Service.
type Options struct {
	// Servers returns the servers and the keys of the hub with a name. Without servers they are the
	// keys that may make the hub, and without keys there is no such hub. Required.
	Servers func(hub string) (*Servers, *accesskey.Keys)
	// Make makes the hub with a name, if its server has one of these keys. Required if Servers
	// returns such keys.
	Make func(hub string) (*Servers, error)
}

// Service is the handler of /server/, to which application servers connect. It is safe for
// concurrent use.
type Service struct {
	options Options

	mu     sync.Mutex
	closed bool
	links  map[*link]struct{}
	served sync.WaitGroup
}

// New returns a Service.
func New(o Options) *Service { return &Service{options: o, links: map[*link]struct{}{}} }

var upgrader = websocket.Upgrader{
	HandshakeTimeout: handshakeTimeout,
	CheckOrigin:      func(*http.Request) bool { return true }, // ServeHTTP has refused them all
	Error:            func(w http.ResponseWriter, _ *http.Request, status int, _ error) { w.WriteHeader(status) },
}

// ServeHTTP serves the connection of an application server until it ends. The token comes in the
// Authorization header only. A browser cannot connect: requests with an Origin are refused.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("hub")
	servers, keys := s.options.Servers(name)
	text, inURL := auth.Token(r)
	switch {
	case r.Header.Get("Origin") != "":
		http.Error(w, "Application servers connect without an Origin.", http.StatusForbidden)
		return
	case keys == nil:
		s.refuse(w, r, name, "there is no such hub")
		return
	case text == "" || inURL:
		s.refuse(w, r, name, "the Authorization header has no token")
		return
	}
	token, err := keys.Token(text, accesskey.Server, name, r)
	if err != nil {
		s.refuse(w, r, name, err.Error())
		return
	}
	if servers == nil {
		if servers, err = s.options.Make(name); err != nil {
			authlog.Refused(r, "", err.Error(), nil)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	id, _ := token.First("nameid")
	if id == "" {
		id = r.Header.Get("X-ASRS-Server-Id")
	}
	defer servers.open.Add(-1)
	if servers.open.Add(1) > maxLinks {
		servers.warn("application server refused", id, slog.String("error", "the hub has too many connections of application servers"))
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = socket.Close() }()
	l := newLink(servers, id, socket)
	defer l.end()
	if !s.enter(l) {
		return
	}
	defer s.leave(l)
	l.run(r.URL.Query().Get("cid"))
}

// maxLinks is the limit of the connections of application servers to one hub. A server has five as a
// rule.
const maxLinks = 1000

func (s *Service) refuse(w http.ResponseWriter, r *http.Request, hub, reason string) {
	authlog.Refused(r, "", reason, fmt.Errorf("application server of hub %q", floodgate.Clip(hub, maxLogged)))
	w.Header().Set("WWW-Authenticate", "Bearer")
	w.WriteHeader(http.StatusUnauthorized)
}

func (s *Service) enter(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.links[l] = struct{}{}
	s.served.Add(1)
	return true
}

func (s *Service) leave(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
	s.served.Done()
}

// Shutdown ends all connections of application servers, and waits for them until ctx ends. It
// follows the shutdown of the hubs.
func (s *Service) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for l := range s.links {
		l.out.end(http.ErrServerClosed)
		l.end()
		_ = l.socket.Close()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.served.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run serves the connection until it ends, and then ends its clients.
func (l *link) run(id string) {
	in := &input{socket: l.socket}
	if err := l.shake(in, id); errors.Is(err, errLost) {
		l.log(slog.LevelDebug, "application server left before its handshake", id)
		return
	} else if err != nil {
		l.servers.warn("application server refused", l.server, slog.String("error", err.Error()))
		return
	}
	l.log(slog.LevelInfo, "application server connected", id)
	l.servers.add(l)
	l.tasks.Go(l.write)
	l.tasks.Go(func() { l.servers.adopt(l) })
	l.out.end(l.serve(in))
	_ = l.socket.Close() // ends a write to a server that does not read
	l.end()
	clients := l.servers.remove(l)
	l.log(slog.LevelInfo, "application server left", id, slog.Int("clients", clients),
		slog.Float64("duration_s", time.Since(l.began).Seconds()), slog.String("cause", l.out.cause().Error()))
	l.tasks.Wait()
}

// log logs a line about the connection.
func (l *link) log(level slog.Level, event, id string, more ...slog.Attr) {
	l.servers.gate.Log(floodgate.Kind{Level: level, Event: event, Burst: 50}, func() []slog.Attr {
		return append(l.servers.about(l.server, slog.String("connection", floodgate.Clip(id, maxLogged))), more...)
	})
}
