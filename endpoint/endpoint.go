// Package endpoint is what an application mounts: one hub at one path, with its
// negotiation and its transports, as a plain http.Handler. It is where hub and
// transports meet.
package endpoint

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/longpolling"
	"github.com/carillon-go/carillon/transports/serversentevents"
	"github.com/carillon-go/carillon/transports/websockets"
)

// Options of an endpoint. The zero value is SignalR's defaults.
type Options struct {
	transports.Options
	// Transports that are allowed, in the order in which they are offered. Default: all.
	Transports []transports.Type
	// Policy changes per request what is offered. Default: none.
	Policy negotiate.Policy
	// MinimumProtocolVersion of negotiation. Default 0.
	MinimumProtocolVersion int
	// Redirect sends a client to another server, with a token for it. Default: none.
	Redirect func(r *http.Request) (url, accessToken string, ok bool)
	// CloseOnAuthenticationExpiration ends a hub's connection, which may then reconnect,
	// within a second of the end of the user's authentication. Default false.
	CloseOnAuthenticationExpiration bool
	// EnableAuthenticationRefresh tells clients for how long their credentials are good
	// and takes fresher ones at POST {path}/refresh, as ASP.NET Core 11 does. Default
	// false.
	EnableAuthenticationRefresh bool
	// TicketLifetime, if positive, keeps long-lived tokens out of URLs: a negotiation with
	// credentials is answered with a ticket, which must be used within this time and opens
	// one connection; it may negotiate again until that is open. Every official client takes
	// it for its access token. It needs Endpoint.Authenticator in front. Default 0: no
	// tickets; 30 s is a good value.
	TicketLifetime time.Duration
	// PublicURL of the endpoint, if clients know it by another one than the one that their
	// requests arrive with: for tickets, behind a proxy that changes host or path. Default:
	// the request's, or https if X-Forwarded-Proto says so.
	PublicURL *url.URL
	// Diagnose serves [DiagnosePage] at {path}/diagnose. Default false.
	Diagnose bool
	// Events serves plain event streams at {path}/events. Default: off.
	Events Events
}

// Endpoint serves a hub, or raw connections, at one path and at {path}/negotiate and
// {path}/refresh, which it tells apart by the last segment, so it works behind any
// prefix. Safe for concurrent use.
type Endpoint struct {
	registry   *transports.Registry
	negotiate  http.Handler
	refresh    http.Handler // nil: there is no such path
	tickets    *tickets     // nil: none are handed out
	transports *transports.Handler
	hub        *hub.Hub     // nil for raw connections
	diagnose   bool         // the page is there
	events     http.Handler // nil: there is no such path
	origins    *origins
}

// holdTimeout is the hub's default: its clients post a handshake as soon as they see
// their event stream.
const holdTimeout = 3 * time.Second

// New returns an endpoint for h.
func New(h *hub.Hub, o Options) *Endpoint {
	if o.HoldTimeout == 0 {
		o.HoldTimeout = holdTimeout
	}
	e := newEndpoint(&hubApplication{hub: h, events: o.Events, closeOnExpiry: o.CloseOnAuthenticationExpiration}, o)
	e.hub, e.diagnose = h, o.Diagnose
	if o.Events.Enabled {
		o.Events.keep(h)
		e.events = http.HandlerFunc(e.transports.ServeListener)
	}
	return e
}

// NewRaw returns an endpoint whose connections app handles without a hub.
func NewRaw(app transports.Application, o Options) *Endpoint { return newEndpoint(app, o) }

func newEndpoint(app transports.Application, o Options) *Endpoint {
	if o.Transports == nil {
		o.Transports = transports.All()
	}
	registry := transports.NewRegistry(app, o.Options)
	carriers := map[transports.Type]transports.Carry{
		transports.WebSockets:       websockets.Carry(registry.Running()),
		transports.ServerSentEvents: serversentevents.Carry(registry.Running()),
		transports.LongPolling:      longpolling.Carry(registry),
	}
	for kind := range carriers {
		if !slices.Contains(o.Transports, kind) {
			delete(carriers, kind)
		}
	}
	var handedOut *tickets
	if o.TicketLifetime > 0 {
		handedOut = newTickets(o)
		if o.Redirect == nil {
			o.Redirect = handedOut.redirect
		}
	}
	e := &Endpoint{
		tickets:    handedOut,
		registry:   registry,
		origins:    newOrigins(o.AllowedOrigins, registry),
		transports: transports.NewHandler(registry, carriers),
		negotiate: negotiate.NewHandler(registry, o.AllowStatefulReconnect, negotiate.Options{
			Transports:     o.Transports,
			Policy:         o.Policy,
			MinimumVersion: o.MinimumProtocolVersion,
			Redirect:       o.Redirect,
			TokenLifetime:  o.EnableAuthenticationRefresh,
		}),
	}
	if o.EnableAuthenticationRefresh {
		e.refresh = refresh{registry}
	}
	return e
}

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.origins.admit(r) {
		transports.Empty(w, http.StatusForbidden)
		return
	}
	switch last := lastSegment(r); {
	case strings.EqualFold(last, "negotiate"):
		e.negotiate.ServeHTTP(w, r)
	case e.refresh != nil && strings.EqualFold(last, "refresh"):
		e.refresh.ServeHTTP(w, r)
	case e.hub != nil && last == "carillon.js":
		scriptFile.ServeHTTP(w, r)
	case e.diagnose && strings.EqualFold(last, "diagnose"):
		diagnosePage().ServeHTTP(w, r)
	case e.events != nil && strings.EqualFold(last, "events"):
		e.events.ServeHTTP(w, r)
	default:
		e.transports.ServeHTTP(w, r)
	}
}

func lastSegment(r *http.Request) string {
	path := strings.TrimSuffix(r.URL.Path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// Connections is how many there are, negotiated ones included.
func (e *Endpoint) Connections() int { return e.registry.Len() }

// QueuedBytes is how much waits to be sent, in all connections.
func (e *Endpoint) QueuedBytes() int { return e.registry.Queued() }

// HeadBytes is how much all connections keep of the requests that opened them.
func (e *Endpoint) HeadBytes() int { return e.registry.HeadBytes() }

// Refusals counts what limits refused.
func (e *Endpoint) Refusals() transports.Refusals { return e.registry.Refusals() }

// Drain refuses new connections: from now on negotiation answers 503 with
// Retry-After. Those that are there go on.
func (e *Endpoint) Drain() {
	e.registry.Stop()
	if e.tickets != nil {
		e.tickets.over.Store(true)
	}
}

// DrainOver drains, and asks the hub's clients to leave and come back, spread over window
// so that they do not do it in one instant; few are through sooner: see hub.Hub.Drain. It
// does not wait until they are gone. Raw connections go on until Shutdown.
func (e *Endpoint) DrainOver(ctx context.Context, window time.Duration) error {
	e.Drain()
	if e.hub == nil {
		return nil
	}
	return e.hub.Drain(ctx, window)
}

// Shutdown ends the endpoint: negotiation answers 503 with Retry-After, the hub's
// clients are told that they may reconnect, what is queued goes out. Connections
// that are still there when ctx ends are cut. When it returns nothing is left
// running; the error is ctx's if it had to cut.
func (e *Endpoint) Shutdown(ctx context.Context) error {
	e.Drain()
	if e.hub != nil {
		if err := e.hub.Shutdown(ctx); err != nil {
			_ = e.registry.Shutdown(ctx) // cuts what did not end
			return err
		}
	}
	return e.registry.Shutdown(ctx)
}

// hubApplication gives connections to a hub.
type hubApplication struct {
	hub           *hub.Hub
	events        Events
	closeOnExpiry bool
}

func (a *hubApplication) Connect(c *transports.Connection) (transports.Receiver, error) {
	kind := c.Transport()
	var groups []string
	var lastEvent string
	if c.Listens() {
		r := c.Request()
		groups, lastEvent = a.events.groups(r), lastEventID(r)
	}
	return a.hub.Connect(c, hub.ConnectInfo{
		Request:           c.Request,
		Context:           c.RequestContext(),
		User:              c.User(),
		CloseOnExpiry:     a.closeOnExpiry,
		Transport:         string(kind),
		Binary:            kind.Binary(),
		NoPings:           kind == transports.LongPolling,
		KeepAliveInterval: c.SilenceLimit() / 2,
		Listens:           c.Listens(),
		Groups:            groups,
		LastEventID:       lastEvent,
		StatefulReconnect: c.Stateful(),
	}), nil
}
