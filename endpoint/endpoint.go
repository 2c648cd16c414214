// Package endpoint joins a hub with its negotiation and its transports.
//
// [New] makes an [Endpoint] of a hub. [Mount] mounts one or several on a mux and returns a
// [Mounted], which ends all of them together. An Endpoint is a plain http.Handler, so other
// routers can mount it too: at its path and below it.
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

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/negotiation"
	"github.com/carillon-go/carillon/internal/static"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/longpolling"
	"github.com/carillon-go/carillon/transports/serversentevents"
	"github.com/carillon-go/carillon/transports/websockets"
)

// Options configure an Endpoint. The zero value has SignalR's defaults.
type Options struct {
	// Options are the options of the connections. They can be set like fields of their own
	// (o.AllowedOrigins = …), but a literal needs Options: transports.Options{…}. Package
	// transports documents them:
	//
	//	DisconnectTimeout       15 s: a connection without a request ends
	//	PollTimeout             90 s: a poll without data is answered
	//	CloseTimeout            5 s: the wait for a client's close frame
	//	HoldTimeout             3 s, NewRaw none: an event stream without a POST is reset
	//	SendTimeout             10 s: a client that does not read is cut
	//	MaxQueueBytes           16 MiB: the queue of one client
	//	WaitBytes               64 KiB: the queue from which SendWait waits
	//	MaxHeadBytes            32 KiB: URL and headers of a request
	//	SubprotocolSelector     none: selects a WebSocket subprotocol
	//	AllowStatefulReconnect  false: connections outlive their requests
	//	KeepPollsInServer       false: polls leave the HTTP server while they wait
	//	AllowedOrigins          none: foreign pages that may use the endpoint
	//	AllowOrigin             none: decides about other origins
	//	Limits                  numbers of connections, of negotiations, of bytes
	//	Meter                   none: receives openings and ends of connections
	//	Logger                  slog.Default(): receives the events of connections
	transports.Options
	// Transports are the allowed transports, in the order in which clients are offered them.
	// Default: all.
	Transports []transports.Type
	// Policy changes the offer of each negotiation. Default: none.
	Policy negotiate.Policy
	// MinimumProtocolVersion is the lowest accepted version of negotiation. Default 0, with a
	// Cluster 1: only the process that negotiated finds a connection of version 0, because its
	// id is its token. A negative number accepts version 0 in a cluster.
	MinimumProtocolVersion int
	// Redirect sends a client to another server, with an access token for it, if ok is true.
	// Default: none.
	Redirect func(r *http.Request) (url, accessToken string, ok bool)
	// CloseOnAuthenticationExpiration closes a hub's connection within a second after the
	// user's authentication ends. The client may reconnect. Default false.
	CloseOnAuthenticationExpiration bool
	// EnableAuthenticationRefresh sends clients the remaining lifetime of their credentials
	// and accepts fresher credentials of the same user at POST {path}/refresh, as ASP.NET
	// Core 11 does. Default false.
	EnableAuthenticationRefresh bool
	// OnAuthenticationRefresh decides whether a connection accepts fresher credentials. POST
	// {path}/refresh and long polls bring them. It is called only if
	// EnableAuthenticationRefresh is set, and never concurrently for one connection. It may
	// block within the context of the request. A panic refuses the credentials. After it
	// accepts, the hub calls the functions of Hub.OnAuthenticationRefreshed. Default: all are
	// accepted.
	OnAuthenticationRefresh func(*transports.Refresh) bool
	// MaximumAuthenticationExpiration is the longest time for which credentials are valid. It
	// starts at their negotiation or refresh, or at the request of a WebSocket that skips
	// negotiation. Default 0: as long as the credentials say.
	MaximumAuthenticationExpiration time.Duration
	// TicketLifetime, if positive, keeps long-lived tokens out of URLs. A negotiation with
	// credentials is answered with a ticket, which every official client uses as its access
	// token. A ticket must be used within this time. It opens one connection, and can
	// negotiate repeatedly until that connection is open. Endpoint.Authenticator must
	// authenticate the requests; in a Cluster, Authenticator must be set. Default 0: no tickets;
	// 30 s is a good value.
	TicketLifetime time.Duration
	// PublicURL is the endpoint's URL for clients. Tickets need it behind a proxy that
	// changes host or path. Default: the URL of the request, with https if X-Forwarded-Proto
	// says so.
	PublicURL *url.URL
	// Authenticator identifies the users, by each request. Requests without a user are then
	// answered 401, except those for {path}/carillon.js and {path}/diagnose, for which
	// browsers send no token. hub.Options.Authorize may refuse users. Default: none; a
	// middleware in front (auth.Middleware) may put the user into the context, and refuse it
	// (auth.Require), for raw connections for example.
	Authenticator auth.Authenticator
	// TokensOnly says that users are identified by bearer tokens alone: neither Authenticator
	// nor anything else reads cookies, client certificates or addresses for that. A page then
	// gains nothing by the credentials of a browser, and the entry "*" of AllowedOrigins allows
	// requests with credentials, which the JavaScript client sends by default. Default false.
	TokensOnly bool
	// Diagnose serves a page at {path}/diagnose. It measures, from the browser that shows it,
	// which transports reach the hub and which of them a proxy buffers or cuts, and it
	// suggests remedies. Default false.
	Diagnose bool
	// Contract is the hub's contract as carillon-gen writes it. It is served at
	// {path}/contract.json, to the users that may use the endpoint. It must not be changed
	// later. Default: none, and the path is not served.
	Contract []byte
	// Events serves plain event streams at {path}/events. Default: off.
	Events Events
	// Cluster joins the endpoints of several processes, so that every request of a connection
	// may arrive at any of them. Package cluster makes it. Default: none.
	Cluster connection.Elsewhere
}

// Endpoint serves a hub, or raw connections, at one path, and negotiation, refresh and its
// other parts at {path}/negotiate, {path}/refresh and so on. It distinguishes them by the
// last segment of the path, so it works below any prefix. Its own path must not end in the
// name of a part that it serves, such as negotiate, or events if Options.Events is enabled:
// it refuses negotiations there and logs the reason. Safe for concurrent use.
type Endpoint struct {
	registry   *connection.Registry
	negotiate  http.Handler
	tickets    *tickets // nil: the endpoint issues no tickets
	transports *connection.Handler
	refreshes  bool         // {path}/refresh is served
	hub        *hub.Hub     // nil for raw connections
	diagnose   bool         // {path}/diagnose is served
	contract   http.Handler // nil: {path}/contract.json is not served
	guarded    http.Handler // everything that needs a user, if anything does
	events     http.Handler // nil: {path}/events is not served
	origins    *origins
	log        *slog.Logger
	misplaced  sync.Once // guards the warning of refuseName
}

// holdTimeout is the default of HoldTimeout for hubs. Their clients post a handshake as soon
// as their event stream opens.
const holdTimeout = 3 * time.Second

// New returns an endpoint for h. It panics if Options.TicketLifetime and Cluster are set, and
// Authenticator is not.
func New(h *hub.Hub, o Options) *Endpoint {
	if o.HoldTimeout == 0 {
		o.HoldTimeout = holdTimeout
	}
	e := newEndpoint(h, &hubApplication{hub: h, closeOnExpiry: o.CloseOnAuthenticationExpiration}, o)
	e.diagnose = o.Diagnose
	if o.Contract != nil {
		e.contract = static.New(o.Contract, map[string]string{"Content-Type": "application/json", "Cache-Control": "no-cache"})
	}
	if o.Events.Enabled {
		o.Events.keep(h)
		e.events = o.Events.admit(http.HandlerFunc(e.transports.ServeListener))
	}
	e.join(o)
	return e
}

// NewRaw returns an endpoint that passes its connections to app, without a hub.
func NewRaw(app transports.Application, o Options) *Endpoint {
	e := newEndpoint(nil, app, o)
	e.join(o)
	return e
}

// join joins the cluster of the options, if there is one.
func (e *Endpoint) join(o Options) {
	if o.Cluster == nil {
		return
	}
	var observe func(*http.Request, []byte) transports.Observer
	if a, ok := o.Policy.(negotiate.Adopter); ok {
		observe = a.Adopt
	}
	e.registry.SetElsewhere(o.Cluster, observe)
	o.Cluster.Join(&local{e.registry, e})
	if learner := negotiate.EvidenceOf(o.Policy); learner != nil {
		o.Cluster.Share(learner)
	}
}

func newEndpoint(h *hub.Hub, app transports.Application, o Options) *Endpoint {
	o.Options = o.WithDefaults()
	if o.Cluster != nil && o.MinimumProtocolVersion == 0 {
		o.MinimumProtocolVersion = 1
	}
	if o.Transports == nil {
		o.Transports = signalr.Transports()
	}
	registry := connection.NewRegistry(app, o.Options)
	registry.SetRefreshing(o.refreshing())
	carriers := map[transports.Type]connection.Carry{
		transports.WebSockets:       websockets.Carry(registry),
		transports.ServerSentEvents: serversentevents.Carry(registry),
		transports.LongPolling:      longpolling.Carry(registry),
	}
	for kind := range carriers {
		if !slices.Contains(o.Transports, kind) {
			delete(carriers, kind)
		}
	}
	var handedOut *tickets
	if o.TicketLifetime > 0 {
		if o.Cluster != nil && o.Authenticator == nil {
			panic("endpoint: Options.TicketLifetime with a Cluster needs Options.Authenticator")
		}
		handedOut = newTickets(o)
		if o.Redirect == nil {
			o.Redirect = handedOut.redirect
		}
	}
	e := &Endpoint{
		hub:        h,
		tickets:    handedOut,
		registry:   registry,
		origins:    newOrigins(&o),
		log:        o.Logger,
		transports: connection.NewHandler(registry, carriers),
		refreshes:  o.EnableAuthenticationRefresh,
		negotiate: negotiation.NewHandler(registry, o.AllowStatefulReconnect, negotiation.Options{
			Transports:     o.Transports,
			Policy:         o.Policy,
			MinimumVersion: max(0, o.MinimumProtocolVersion),
			Redirect:       o.Redirect,
			TokenLifetime:  o.EnableAuthenticationRefresh,
		}),
	}
	e.guarded = e.guard(o)
	e.transports.CheckOrigins(e.origins.admit)
	return e
}

// guard returns the handler of the requests that only users may make, if o says so.
func (e *Endpoint) guard(o Options) http.Handler {
	h := http.Handler(http.HandlerFunc(e.serve))
	if e.hub != nil {
		h = e.hub.AuthorizeRequests(h)
	}
	if o.Authenticator != nil {
		h = auth.Middleware(e.Authenticator(o.Authenticator), auth.Require(nil, h))
	}
	if e.tickets != nil && o.Cluster != nil {
		h = e.bringTickets(h)
	}
	return h
}

func (o *Options) refreshing() connection.Refreshing {
	r := connection.Refreshing{Enabled: o.EnableAuthenticationRefresh, Max: o.MaximumAuthenticationExpiration}
	if r.Enabled {
		r.Allow = o.OnAuthenticationRefresh
	}
	return r
}

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handshake := connection.IsHandshake(r)
	known := handshake && connection.Token(r) != "" // checked when its connection is known
	if !known && !e.origins.admit(r, "") {
		e.registry.LogRefusedOrigin(r, nil)
		connection.Empty(w, http.StatusForbidden)
		return
	}
	if isPreflight(r) && !e.AllowsOrigin(r.Header.Get("Origin")) && w.Header().Get(allowOrigin) == "" { // the page makes no other request
		e.registry.LogRefusedOrigin(r, nil)
	}
	last := lastSegment(r)
	page := e.page(last)
	switch {
	case e.origins.share(w, r, page != nil):
		w.WriteHeader(http.StatusNoContent)
	case !e.refreshes && fold.Equal(last, refreshPart) && connection.IsRefresh(r):
		e.transports.ServeRefresh(w, r) // answers 404
	case page != nil && !handshake:
		page.ServeHTTP(w, r)
	default:
		e.guarded.ServeHTTP(w, r)
	}
}

// serve answers the requests for everything but the pages.
func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request) {
	above, last := lastSegments(r)
	negotiates := fold.Equal(last, negotiatePart)
	switch part := e.part(last); {
	case part == nil, !negotiates && connection.IsHandshake(r): // parts accept no WebSocket handshakes
		e.transports.ServeHTTP(w, r)
	case negotiates && e.part(above) != nil:
		e.refuseName(w, r, above)
	default:
		part.ServeHTTP(w, r)
	}
}

// part returns the handler of {path}/name, or nil if only the hub itself can serve that path.
func (e *Endpoint) part(name string) http.Handler {
	switch {
	case fold.Equal(name, negotiatePart):
		return e.negotiate
	case e.refreshes && fold.Equal(name, refreshPart):
		return http.HandlerFunc(e.transports.ServeRefresh)
	case e.events != nil && fold.Equal(name, eventsPart):
		return e.events
	case e.contract != nil && name == contractPart:
		return e.contract
	}
	return e.page(name)
}

// page returns the handler of {path}/name if it is a page or a script, for which a browser
// sends no token. It returns nil for all other names.
func (e *Endpoint) page(name string) http.Handler {
	switch {
	case e.hub != nil && name == scriptPart:
		return scriptFile
	case e.diagnose && fold.Equal(name, diagnosePart):
		return diagnosePage()
	}
	return nil
}

// refuseName answers a negotiation at a path that ends in the name of a part. The endpoint
// does not know its own path, so it would pass the client's next requests to that part.
func (e *Endpoint) refuseName(w http.ResponseWriter, r *http.Request, name string) {
	e.misplaced.Do(func() { // any client can request such a path
		e.log.Warn("hub path not usable", "path", r.URL.Path, "reason", "it ends in the name of a part of the endpoint: "+name)
	})
	negotiation.Refuse(w, fmt.Sprintf("The path of the hub must not end in '%s', which has another meaning there.", name))
}

// lastSegments returns the last segment of the request's path and the segment before it. A
// trailing slash does not count.
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

// Connections returns the number of connections, including negotiated ones that are not open
// yet.
func (e *Endpoint) Connections() int { return e.registry.Len() }

// QueuedBytes returns the number of bytes queued for sending in all connections.
func (e *Endpoint) QueuedBytes() int { return e.registry.Queued() }

// HeadBytes returns the number of bytes that all connections keep of the request heads that
// opened them.
func (e *Endpoint) HeadBytes() int { return e.registry.HeadBytes() }

// Refusals returns how often each limit refused a request or a connection.
func (e *Endpoint) Refusals() transports.Refusals { return e.registry.Refusals() }

// Drain refuses new connections: negotiation answers 503 with Retry-After. Existing
// connections continue.
func (e *Endpoint) Drain() {
	e.registry.Stop()
	if e.tickets != nil {
		e.tickets.over.Store(true)
	}
}

// DrainOver calls Drain and asks the hub's clients to reconnect elsewhere, spread over window
// to avoid a burst. Only few connections finish earlier; see hub.Hub.Drain. It does not wait
// until the connections are closed. Raw connections continue until Shutdown.
func (e *Endpoint) DrainOver(ctx context.Context, window time.Duration) error {
	e.Drain()
	if e.hub == nil {
		return nil
	}
	return e.hub.Drain(ctx, window)
}

// Shutdown closes the endpoint. Negotiation answers 503 with Retry-After, the hub's
// connections close so that their clients reconnect, and queued messages are sent. When ctx
// ends, Shutdown cuts the remaining connections and returns at most about two seconds later.
// It returns ctx's error if a connected client did not receive everything or if application
// code is still running. After a nil error nothing is left running.
func (e *Endpoint) Shutdown(ctx context.Context) error {
	e.Drain()
	if e.hub != nil {
		if err := e.hub.Shutdown(ctx); err != nil {
			_ = e.registry.Shutdown(ctx) // cuts the remaining connections
			return err
		}
	}
	return e.registry.Shutdown(ctx)
}

// Ended returns the number of opened connections that have ended since Drain, DrainOver or
// Shutdown began: drained in order, and cut at the end of Shutdown's time.
func (e *Endpoint) Ended() (drained, cut int) { return e.registry.Ended() }

// hubApplication passes connections to a hub.
type hubApplication struct {
	hub           *hub.Hub
	closeOnExpiry bool
}

// Connect implements transports.Application. Only registries call it, with their connections.
func (a *hubApplication) Connect(accepted transports.Connection) (transports.Receiver, error) {
	c := accepted.(*connection.Connection)
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
		Authorized:        !connection.Forwarded(c.RequestContext()), // by guard
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
