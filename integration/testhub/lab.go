package main

import (
	"context"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// A variant is a hub for observation with its own path and options.
type variant struct {
	path     string
	hub      func(*hub.Options)
	endpoint func(*endpoint.Options)
	prepare  func(*hub.Hub)
	guarded  bool // needs a token
}

var variants = []variant{
	{path: "/lab"},
	{path: "/lab-plain", hub: func(o *hub.Options) { o.DetailedErrors = false }},
	{path: "/lab-fast", hub: shortTimes, endpoint: func(o *endpoint.Options) {
		o.PollTimeout = 2 * time.Second
		o.CloseTimeout = time.Second
	}},
	{path: "/lab-parallel", hub: func(o *hub.Options) { o.MaxParallelInvocations = 3 }},
	{path: "/lab-small", hub: func(o *hub.Options) {
		o.StatefulBufferSize = 1000
		o.StreamBufferCapacity = 2
	}, endpoint: stateful},
	{path: "/lab-auth", guarded: true},
	{path: "/lab-auth-stateful", guarded: true, endpoint: stateful},
	{path: "/lab-expire", guarded: true, endpoint: func(o *endpoint.Options) { o.CloseOnAuthenticationExpiration = true }},
	{path: "/lab-onconnect", prepare: welcomeOrNot},
	{path: "/lab-min1", endpoint: func(o *endpoint.Options) { o.MinimumProtocolVersion = 1 }},
	{path: "/lab-sse", endpoint: only(transports.ServerSentEvents)},
	{path: "/lab-lp", endpoint: only(transports.LongPolling)},
	{path: "/lab-ws", endpoint: only(transports.WebSockets)},
	{path: "/lab-subprotocol", endpoint: func(o *endpoint.Options) {
		o.SubprotocolSelector = func(offered []string) string { return offered[0] }
	}},
}

func shortTimes(o *hub.Options) {
	o.KeepAliveInterval = time.Second
	o.ClientTimeout = 2 * time.Second
	o.HandshakeTimeout = time.Second
}

func stateful(o *endpoint.Options) { o.AllowStatefulReconnect = true }

func only(t transports.Type) func(*endpoint.Options) {
	return func(o *endpoint.Options) { o.Transports = []transports.Type{t} }
}

// welcomeOrNot sends each client a Welcome message, then fails, aborts or delays the
// connection if the client's query says so.
func welcomeOrNot(h *hub.Hub) {
	clients := h.Clients()
	h.OnConnected(func(ctx context.Context) error {
		caller := hub.CallerFrom(ctx)
		if err := clients.Caller(ctx).Send(ctx, "Welcome", len(caller.ConnectionID())); err != nil {
			return err
		}
		query := caller.Request().URL.Query()
		if query.Has("fail") {
			return hub.NewError("not you")
		}
		if query.Has("abort") {
			caller.Abort()
		}
		if query.Has("slow") {
			<-time.After(time.Second)
		}
		return nil
	})
}

// addLabs mounts the hubs for observation. Each variant has its own hub.
func (s *site) addLabs(t timeouts, tokens *tokens) {
	for _, v := range variants {
		o := s.hub(v.path, t)
		if v.hub != nil {
			v.hub(&o)
		}
		guard := tokens.welcome
		if v.guarded {
			guard, o.Authorize = tokens.required, []auth.Policy{auth.Authenticated}
		}
		h := newLab(o)
		if v.prepare != nil {
			v.prepare(h)
		}
		var at endpoint.Options
		at.HoldTimeout = -1 // ASP.NET Core has no such time-out
		at.AllowedOrigins = []string{"*"}
		at.Limits = transports.Unlimited()
		at.DisconnectTimeout = t.seconds("disconnect")
		if v.endpoint != nil {
			v.endpoint(&at)
		}
		s.serve(v.path, h, at, guard)
		if v.path == "/lab" {
			s.labAll(h)
		}
	}
}

// labAll lets an HTTP request invoke any method on all clients of the hub.
func (s *site) labAll(h *hub.Hub) {
	clients := h.Clients()
	s.broadcast = getOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := clients.All().Send(r.Context(), r.URL.Path[len("/lab-all/"):], 1); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		plain(w, "sent")
	}))
}
