// Package publish is the REST interface by which applications send to the clients of the hubs of
// the configuration file. Its operations and codes are those of Azure SignalR Service, so that its
// SDKs and scripts for it can publish here.
package publish

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/httpreq"
)

// Options configure the interface.
type Options struct {
	// Hubs are the hubs to publish to.
	Hubs *hosting.Hubs
	// PublicURL is the URL of the server for publishers and clients, such as
	// https://rt.example.com. URLs in answers begin with it. Default: that of the request.
	PublicURL string
	// Answered is called for each answer, with the id of the operation in the document and the
	// status. The id is "" if there is no such operation. Default: nothing is called.
	Answered func(operation string, status int)
	// Logger receives the failures that are not the publisher's. Default slog.Default().
	Logger *slog.Logger
}

// prefix is the path that all requests have in common.
const prefix = "/api"

// The times within which an operation ends. Without other nodes, only Invoke waits at all.
const (
	operationTimeout = 10 * time.Second
	invokeTimeout    = 30 * time.Second
)

// server is the handler of the interface.
type server struct {
	Options
	gate   *floodgate.Gate
	repeat repeats
}

// New returns the handler of all paths below /api/. It is safe for concurrent use. It admits nobody to
// a hub without keys.
func New(o Options) http.Handler { return &server{Options: o, gate: floodgate.New(o.Logger)} }

// call is one request.
type call struct {
	*server
	request *http.Request
	route   *route
	version version
	names   names
	query   url.Values
	hub     *hosting.Hub
	body    []byte
}

// answer is the answer to a request that has succeeded. value becomes the body as JSON, unless
// it is nil.
type answer struct{ value any }

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fold.Equal(r.URL.Path, prefix+documentPath) {
		serveDocument(w, r)
		return
	}
	c, err := s.find(r)
	var a answer
	if err == nil {
		a, err = c.serve(w)
	}
	switch {
	case err != nil:
		c.answered(c.fail(w, r, err))
	case a.value == nil:
		w.WriteHeader(c.status())
		c.answered(c.status())
	default:
		writeJSON(w, c.status(), a.value)
		c.answered(c.status())
	}
}

func (c *call) answered(status int) {
	if c.Answered == nil {
		return
	}
	operation := ""
	if c.route != nil {
		operation = c.route.id
	}
	c.Answered(operation, status)
}

// find returns the call that a request makes, if there is such an operation.
func (s *server) find(r *http.Request) (*call, error) {
	c := &call{server: s, request: r}
	segments, err := split(r.URL)
	if err != nil {
		return c, err
	}
	if c.query, err = parseQuery(r.URL.RawQuery); err != nil {
		return c, invalid("query", "the query of the URL is malformed")
	}
	isV1 := len(segments) > 0 && fold.Equal(segments[0], "v1")
	if isV1 {
		c.version, segments = v1, segments[1:]
	}
	found := routes.find(isV1, segments)
	if len(found.all) == 0 {
		return c, errNoOperation
	}
	if !isV1 {
		if c.version, err = versionOf(c.query); err != nil {
			return c, err
		}
	}
	if c.route, err = found.route(r.Method, c.version); err != nil {
		return c, err
	}
	c.names = found.names(segments)
	return c, nil
}

// serve does the operation.
func (c *call) serve(w http.ResponseWriter) (answer, error) {
	if c.route.isOpen {
		return answer{}, nil
	}
	if err := c.admit(); err != nil {
		return answer{}, err
	}
	if err := c.check(); err != nil {
		return answer{}, err
	}
	if c.route.message {
		if err := c.read(w); err != nil {
			return answer{}, err
		}
	}
	return c.once(c.do)
}

// do does the operation within its time.
func (c *call) do() (a answer, err error) {
	ctx := c.request.Context()
	if c.waits() { // a timer costs time
		limit := operationTimeout
		if c.route.waits {
			limit = invokeTimeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errTimeout)
		defer cancel()
	}
	a, err = c.route.do(ctx, c)
	if err != nil {
		err = c.explain(ctx, err)
	}
	return a, err
}

func (c *call) status() int {
	if c.version == v1 {
		return c.route.v1Status
	}
	return c.route.status
}

// waits reports whether the operation may wait: for a client or for other nodes.
func (c *call) waits() bool { return c.route.waits || c.hub.IsShared() }

// audience returns the audience that the path names, without the connections that the query
// excludes if the operation has that parameter.
func (c *call) audience() (to hub.Audience) {
	if slices.Contains(c.route.queries, "excluded") {
		to.Except = c.query["excluded"]
	}
	for _, n := range []struct {
		name string
		kind hub.AudienceKind
	}{{c.names.connection, hub.ToConnections}, {c.names.user, hub.OfUsers}, {c.names.group, hub.InGroups}} {
		if n.name != "" {
			to.Kind, to.Names = n.kind, []string{n.name}
			break
		}
	}
	return to
}

// base returns the public URL of the server, without a slash at its end.
func (c *call) base() string {
	if c.PublicURL != "" {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	return httpreq.Scheme(c.request) + "://" + c.request.Host
}

// errTimeout is the cause of an operation that took too long.
var errTimeout = errors.New("publish: the operation took too long")
