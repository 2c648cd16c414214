// Package endpoint is what an application mounts: one hub at one path, with its
// negotiation and its transports, as a plain http.Handler. It is where hub and
// transports meet.
package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/fold"
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
	// and takes fresher ones of the same user at POST {path}/refresh, as ASP.NET Core 11
	// does. Default false.
	EnableAuthenticationRefresh bool
	// OnAuthenticationRefresh, where EnableAuthenticationRefresh is set, decides whether a
	// connection takes fresher credentials, which POST {path}/refresh and long polls bring.
	// It may block, within the context of the request. It is not called concurrently for one
	// connection. A panic refuses. See Hub.OnAuthenticationRefreshed for what follows.
	// Default: all are taken.
	OnAuthenticationRefresh func(*transports.Refresh) bool
	// MaximumAuthenticationExpiration is the longest time for which credentials count, from
	// their negotiation or refresh on, or from the WebSocket that skips negotiation.
	// Default 0: as long as they say.
	MaximumAuthenticationExpiration time.Duration
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
// prefix. Its path must not end in the name of a part that it serves: such as negotiate, or
// events if Options.Events is on. Negotiations there are refused, and the log says why.
// Safe for concurrent use.
type Endpoint struct {
	registry   *transports.Registry
	negotiate  http.Handler
	tickets    *tickets // nil: none are handed out
	transports *transports.Handler
	refreshes  bool         // credentials are refreshed
	hub        *hub.Hub     // nil for raw connections
	diagnose   bool         // the page is there
	events     http.Handler // nil: there is no such path
	origins    *origins
	log        *slog.Logger
	misplaced  sync.Once // the log has it
}

// holdTimeout is the hub's default: its clients post a handshake as soon as they see
// their event stream.
const holdTimeout = 3 * time.Second

// New returns an endpoint for h.
func New(h *hub.Hub, o Options) *Endpoint {
	if o.HoldTimeout == 0 {
		o.HoldTimeout = holdTimeout
	}
	e := newEndpoint(&hubApplication{hub: h, closeOnExpiry: o.CloseOnAuthenticationExpiration}, o)
	e.hub, e.diagnose = h, o.Diagnose
	if o.Events.Enabled {
		o.Events.keep(h)
		e.events = o.Events.admit(http.HandlerFunc(e.transports.ServeListener))
	}
	return e
}

// NewRaw returns an endpoint whose connections app handles without a hub.
func NewRaw(app transports.Application, o Options) *Endpoint { return newEndpoint(app, o) }

func newEndpoint(app transports.Application, o Options) *Endpoint {
	o.Options = o.WithDefaults()
	if o.Transports == nil {
		o.Transports = transports.All()
	}
	registry := transports.NewRegistry(app, o.Options)
	registry.SetRefreshing(o.refreshing())
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
		origins:    newOrigins(&o.Options, registry),
		log:        o.Logger,
		transports: transports.NewHandler(registry, carriers),
		refreshes:  o.EnableAuthenticationRefresh,
		negotiate: negotiate.NewHandler(registry, o.AllowStatefulReconnect, negotiate.Options{
			Transports:     o.Transports,
			Policy:         o.Policy,
			MinimumVersion: o.MinimumProtocolVersion,
			Redirect:       o.Redirect,
			TokenLifetime:  o.EnableAuthenticationRefresh,
		}),
	}
	return e
}

func (o *Options) refreshing() transports.Refreshing {
	r := transports.Refreshing{Enabled: o.EnableAuthenticationRefresh, Max: o.MaximumAuthenticationExpiration}
	if r.Enabled {
		r.Allow = o.OnAuthenticationRefresh
	}
	return r
}

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.origins.admit(r) {
		transports.Empty(w, http.StatusForbidden)
		return
	}
	above, last := lastSegments(r)
	negotiates := fold.Equal(last, "negotiate")
	switch part := e.part(last); {
	case !e.refreshes && fold.Equal(last, "refresh") && transports.IsRefresh(r):
		e.transports.ServeRefresh(w, r) // says that there is no such path
	case part == nil, !negotiates && transports.IsHandshake(r): // which no part takes
		e.transports.ServeHTTP(w, r)
	case negotiates && e.part(above) != nil:
		e.refuseName(w, r, above)
	default:
		part.ServeHTTP(w, r)
	}
}

// part returns what the endpoint serves at {path}/name; nil: nothing but the hub itself.
func (e *Endpoint) part(name string) http.Handler {
	switch {
	case fold.Equal(name, "negotiate"):
		return e.negotiate
	case e.refreshes && fold.Equal(name, "refresh"):
		return http.HandlerFunc(e.transports.ServeRefresh)
	case e.hub != nil && name == "carillon.js":
		return scriptFile
	case e.diagnose && fold.Equal(name, "diagnose"):
		return diagnosePage()
	case e.events != nil && fold.Equal(name, "events"):
		return e.events
	}
	return nil
}

// refuseName answers a negotiation at a path that ends in the name of a part. The endpoint does
// not know its own path, so it would take the client's next requests for requests to that part.
func (e *Endpoint) refuseName(w http.ResponseWriter, r *http.Request, name string) {
	e.misplaced.Do(func() { // anybody can ask for such a path
		e.log.Warn("no client can connect to a hub whose path ends in the name of one of its parts", "path", r.URL.Path, "name", name)
	})
	negotiate.Refuse(w, fmt.Sprintf("The path of the hub must not end in '%s', which has another meaning there.", name))
}

// lastSegments returns the last segment of the path of a request and the one before it; a slash
// at the end does not count.
func lastSegments(r *http.Request) (above, last string) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	i := strings.LastIndexByte(path, '/')
	above, last = path[:max(i, 0)], path[i+1:]
	return above[strings.LastIndexByte(above, '/')+1:], last
}

func lastSegment(r *http.Request) string {
	_, last := lastSegments(r)
	return last
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
// connections end so that their clients reconnect, what is queued goes out. Connections
// that are still there when ctx ends are cut, and about two seconds later Shutdown
// returns in any case. The error is ctx's if a client that is there did not get all, or
// if application code was still running. Without an error nothing is left running.
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
	closeOnExpiry bool
}

func (a *hubApplication) Connect(c *transports.Connection) (transports.Receiver, error) {
	kind := c.Transport()
	var groups []string
	var lastEvent string
	if c.Listens() {
		groups, lastEvent = groupsOf(c.RequestContext()), lastEventID(c.Request())
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
