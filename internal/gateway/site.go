package gateway

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/appserver"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/internal/metrics"
	"github.com/carillon-go/carillon/internal/serviceclient"
	"github.com/carillon-go/carillon/internal/upstream"
	"github.com/carillon-go/carillon/transports"
)

// site is one hub with everything that serves it: a hub of the file, or the clock.
type site struct {
	settings  hubfile.Hub // of the start
	hosted    *hosting.Hub
	endpoint  *endpoint.Endpoint                   // nil: the path is not served
	redirects *serviceclient.Endpoint              // nil: the hub has no access keys
	plane     *backplane.Backplane                 // nil: messages stay in this process
	published *bearer.PublishedKeys                // nil: its tokens have no keys at a URL
	tokens    atomic.Pointer[bearer.Authenticator] // nil if clients need no token
	servers   *appserver.Servers                   // nil: no application servers answer the clients
	backend   *upstream.Upstream                   // nil: there is none
	metrics   *metrics.Hub                         // nil: metrics are disabled
}

// clockName is the name of the clock's hub in the log.
const clockName = "ClockHub"

// servesClock reports whether there are no hubs: none in the file, and no key with which application
// servers make theirs.
func (c *Config) servesClock() bool { return len(c.Hubs) == 0 && c.AccessKeyFile == "" }

// hubs returns the hubs that are served: those of the file, or the clock.
func (c *Config) hubs() []hubfile.Hub {
	if c.servesClock() {
		return []hubfile.Hub{c.clock()}
	}
	return c.Hubs
}

// clock returns the settings of the clock as those of a hub.
func (c *Config) clock() hubfile.Hub {
	h := hubfile.New(clockName)
	h.Path, h.Origins, h.RedisHub, h.Invoke = c.Path, c.CORSOrigin, c.RedisHub, []string{"*"}
	h.Limits.Connections, h.Limits.PerAddress, h.Limits.PerUser = c.MaxConnections, c.MaxPerAddress, c.MaxPerUser
	offered, _ := c.transports() // Validate reports the error
	for _, t := range offered {
		h.Transports = append(h.Transports, string(t))
	}
	h.Clients = hubfile.Clients{Anonymous: !c.usesJWT(), Tickets: c.Tickets, PublicURL: c.PublicURL}
	if c.usesJWT() {
		h.Clients.JWT = &hubfile.JWT{
			KeyFile: c.JWTKey, JWKSURL: c.JWKSURL, Issuer: c.JWTIssuer, Audience: c.JWTAudience,
			UserClaim: c.JWTUserClaim, Refresh: c.JWTRefresh, MaxLifetime: c.JWTMaxLifetime,
		}
	}
	return h
}

// key returns the name of a setting of a hub: the path of the key in the file, or the flag of the
// clock.
func (c *Config) key(h *hubfile.Hub, key string) string {
	if c.servesClock() {
		return flagFor(key)
	}
	return hubKey(h.Name, key)
}

// hasAccessKeys reports whether clients may come with tokens that an access key has signed.
func (c *Config) hasAccessKeys(h *hubfile.Hub) bool {
	return h.AccessKeyFile != "" || h.APIKeyFile == "" && c.AccessKeyFile != ""
}

// admission returns who may connect at the path of a hub: anonymous, jwt or connect. It returns
// none if the path is not served: then clients come with tokens that an access key has signed.
func (c *Config) admission(h *hubfile.Hub) string {
	switch {
	case h.Servers != nil:
		return "none"
	case h.Clients.JWT != nil:
		return "jwt"
	case h.Clients.Connect != nil:
		return "connect"
	case h.Clients.Anonymous || !c.hasAccessKeys(h):
		return "anonymous"
	}
	return "none"
}

// makeSite makes the hub of a site, its endpoint and its metrics.
func (s *Server) makeSite(st *site) error {
	h := &st.settings
	options := hubOptions(h)
	options.Logger, options.ConnectionLevel = s.log, slog.LevelInfo
	o := s.endpointOptions(h)
	if s.node != nil {
		part := s.node.Hub(h.Path)
		options.Commands, o.Cluster = part, part
	}
	if s.broker != nil {
		st.plane = backplane.New(s.broker, backplane.Options{Hub: h.RedisHub, ChannelPrefix: s.config.RedisPrefix, Logger: s.log})
		options.Backplane = st.plane
	}
	if h.Servers != nil {
		st.servers = appserver.NewServers(serversOptions(h, s.log))
		options.Relay = st.servers
	}
	st.hosted = hosting.New(h.Name, options)
	if s.metrics != nil {
		label := h.Name
		if s.config.servesClock() {
			label = ""
		}
		st.metrics = s.metrics.Hub(label)
		o.Meter = st.metrics
	}
	if err := errors.Join(s.attachBackend(st), st.authenticate(&o)); err != nil {
		return err
	}
	if s.config.admission(h) != "none" {
		st.endpoint = endpoint.New(st.hosted.Hub, o)
	}
	if s.config.hasAccessKeys(h) {
		redirected := s.endpointOptions(h)
		redirected.Meter = o.Meter
		if s.node != nil {
			redirected.Cluster = s.node.Hub(serviceclient.Path + "/" + h.Name)
		}
		st.redirects = serviceclient.New(st.hosted, redirected, st.attachServers())
	}
	if st.metrics == nil {
		return nil
	}
	st.metrics.Watch(st.hosted.Hub, st.endpoints()...)
	if st.servers != nil {
		st.metrics.Servers(st.servers.Stats)
	}
	if st.plane != nil {
		st.metrics.WatchBackplane(st.plane, s.broker)
	}
	return nil
}

// endpoints returns the endpoints of the hub.
func (st *site) endpoints() (all []*endpoint.Endpoint) {
	if st.endpoint != nil {
		all = append(all, st.endpoint)
	}
	if st.redirects != nil {
		all = append(all, st.redirects.Endpoint)
	}
	return all
}

// endpoints returns the endpoints of all hubs.
func (s *Server) endpoints() (all []*endpoint.Endpoint) {
	for _, st := range s.allSites() {
		all = append(all, st.endpoints()...)
	}
	return all
}

// takeovers are the kinds of takeover by their names in the file.
var takeovers = map[string]appserver.Takeover{
	"asked": appserver.Asked, "off": appserver.Off, "ordered": appserver.Ordered, "always": appserver.Always,
}

// serversOptions returns the options of a hub's application servers.
func serversOptions(h *hubfile.Hub, log *slog.Logger) appserver.ServersOptions {
	return appserver.ServersOptions{Takeover: takeovers[h.Servers.Takeover], Hold: h.Servers.Hold, Logger: log}
}

// attachServers gives the hub to its application servers, if it has any. Its clients then wait until
// they are ready.
func (st *site) attachServers() serviceclient.Ready {
	if st.servers == nil {
		return nil
	}
	st.servers.Attach(st.hosted)
	return st.servers.Ready
}

// policies are the policies for slow consumers by their names in the file.
var policies = map[string]hub.SlowPolicy{
	"disconnect": hub.Disconnect, "drop-newest": hub.DropNewest, "drop-oldest": hub.DropOldest, "conflate": hub.Conflate,
}

// hubOptions returns the options of a hub from its settings.
func hubOptions(h *hubfile.Hub) hosting.Options {
	o := hosting.Options{
		Options: hub.Options{
			HandshakeTimeout:         h.Timeouts.Handshake,
			KeepAliveInterval:        h.Timeouts.KeepAlive,
			ClientTimeout:            h.Timeouts.Client,
			MaxMessageSize:           h.Limits.MessageBytes,
			MaxRelayedBytesPerSecond: h.Limits.BytesPerSecond,
			MaxInvocationsPerSecond:  h.Limits.InvocationsPerSecond,
			MaxParallelInvocations:   h.Limits.ParallelInvocations,
			MaxStreams:               h.Limits.Streams,
			DetailedErrors:           h.DetailedErrors,
			SlowConsumers:            policies[h.SlowConsumers.Default],
			Protocols:                h.Protocols,
		},
		SlowTargets: make(map[string]hub.SlowPolicy, len(h.SlowConsumers.Targets)),
		Invoke:      h.Invoke,
	}
	for target, policy := range h.SlowConsumers.Targets {
		o.SlowTargets[target] = policies[policy]
	}
	if h.Invoke == nil && len(h.Upstream) > 0 {
		o.Invoke = []string{"*"}
	}
	return o
}

// endpointOptions returns the options of an endpoint of a hub, without those of its cluster and of
// authentication.
func (s *Server) endpointOptions(h *hubfile.Hub) endpoint.Options {
	o := endpoint.Recommended()
	o.Policy = s.config.policy(&s.live, s.evidence)
	o.Logger, o.AllowedOrigins = s.log, h.Origins
	for _, name := range h.Transports {
		o.Transports = append(o.Transports, transports.Type(name))
	}
	o.MaxQueueBytes = h.Limits.ClientQueueBytes
	o.Limits = transports.Limits{
		Connections:            h.Limits.Connections,
		ConnectionsPerUser:     h.Limits.PerUser,
		ConnectionsPerAddress:  h.Limits.PerAddress,
		NegotiationsPerAddress: h.Limits.Negotiations,
		QueueBytes:             h.Limits.QueueBytes,
		HeadBytes:              h.Limits.HeadBytes,
	}
	o.Events = endpoint.Events{Enabled: h.Events.Enabled, History: h.Events.History, HistoryBytes: h.Events.HistoryBytes}
	if patterns := h.Events.Groups; len(patterns) > 0 {
		o.Events.Groups = func(r *http.Request) []string { return groupsOf(r, patterns) }
	}
	return o
}

// groupsOf returns the groups that a request for an event stream names and that the patterns allow.
func groupsOf(r *http.Request, patterns []string) (groups []string) {
	for _, group := range r.URL.Query()["group"] {
		if hosting.Matches(patterns, group) {
			groups = append(groups, group)
		}
	}
	return groups
}
