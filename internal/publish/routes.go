package publish

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carillon-go/carillon/internal/fold"
)

// version is a version of the interface, in the order of their dates.
type version int

// v1 has paths of its own below /api/v1. The others are the values of the query api-version.
const (
	v1 version = iota
	v2022June
	v2022November
	v2024
)

var versionNames = []string{v2022June: "2022-06-01", v2022November: "2022-11-01", v2024: "2024-12-01"}

// plainQueries are the queries of most requests, parsed. They are only read.
var plainQueries = newPlainQueries()

func newPlainQueries() map[string]url.Values {
	all := map[string]url.Values{"": nil}
	for _, name := range versionNames[v2022June:] {
		all["api-version="+name] = url.Values{"api-version": {name}}
	}
	return all
}

// parseQuery returns the parameters of a query, which must not be changed.
func parseQuery(query string) (url.Values, error) {
	if parsed, ok := plainQueries[query]; ok {
		return parsed, nil
	}
	return url.ParseQuery(query)
}

// versionOf returns the version that a query asks for.
func versionOf(query url.Values) (version, error) {
	names := query["api-version"]
	switch {
	case len(names) == 0:
		return 0, &failure{status: http.StatusBadRequest, code: codeMissingVersion, target: "api-version", message: "the query needs api-version: " + knownVersions()}
	case len(names) == 1 && slices.Contains(versionNames[v2022June:], names[0]):
		return version(slices.Index(versionNames, names[0])), nil
	}
	return 0, &failure{status: http.StatusBadRequest, code: codeUnknownVersion, target: "api-version", message: "the value of api-version is not one of " + knownVersions()}
}

func knownVersions() string { return strings.Join(versionNames[v2022June:], ", ") }

// route is an operation at one path, or at several with the same names in another order. The document of the interface is made of
// the same routes.
type route struct {
	id      string // in the document
	summary string // in the document
	method  string // GET stands for HEAD, too
	// paths are the patterns below /api, and v1Paths those below /api/v1. A segment in braces
	// is a name.
	paths, v1Paths []string
	since          version // of paths
	status         int     // of success
	v1Status       int
	missing        string   // the code of 404 if the path names something that does not exist
	queries        []string // names of the query's parameters
	message        bool     // the body is a message
	result         string   // the schema of the body of success
	waits          bool     // for a client
	isOpen         bool     // for requests without credentials
	once           bool     // a repetition with the same Idempotency-Key is not done again
	do             func(context.Context, *call) (answer, error)
}

// table are all operations that are offered.
var table = []route{
	{
		id: "health", summary: "Report that the service runs.", isOpen: true,
		method: http.MethodGet, paths: []string{"/health"}, v1Paths: []string{"/health"},
		since: v2022June, status: http.StatusOK, v1Status: http.StatusOK,
	},
	{
		id: "sendToAll", summary: "Send a message to all clients of a hub.", message: true, once: true,
		method: http.MethodPost, paths: []string{"/hubs/{hub}/:send"}, v1Paths: []string{"/hubs/{hub}"},
		since: v2022June, status: http.StatusAccepted, v1Status: http.StatusAccepted,
		queries: []string{"excluded"}, do: send,
	},
	{
		id: "sendToGroup", summary: "Send a message to the connections in a group.", message: true, once: true,
		method: http.MethodPost, paths: []string{"/hubs/{hub}/groups/{group}/:send"}, v1Paths: []string{"/hubs/{hub}/groups/{group}"},
		since: v2022June, status: http.StatusAccepted, v1Status: http.StatusAccepted,
		queries: []string{"excluded"}, do: send,
	},
	{
		id: "sendToUser", summary: "Send a message to the connections of a user.", message: true, once: true,
		method: http.MethodPost, paths: []string{"/hubs/{hub}/users/{user}/:send"}, v1Paths: []string{"/hubs/{hub}/users/{user}"},
		since: v2022June, status: http.StatusAccepted, v1Status: http.StatusAccepted,
		do: send,
	},
	{
		id: "sendToConnection", summary: "Send a message to a connection.", message: true, once: true,
		method: http.MethodPost, paths: []string{"/hubs/{hub}/connections/{connection}/:send"}, v1Paths: []string{"/hubs/{hub}/connections/{connection}"},
		since: v2022June, status: http.StatusAccepted, v1Status: http.StatusAccepted,
		do: send,
	},
	{
		id: "invoke", summary: "Invoke a method of a client and wait for its result, for 30 s at most.", message: true, waits: true,
		method: http.MethodPost, paths: []string{"/hubs/{hub}/connections/{connection}/:invoke"},
		since: v2024, status: http.StatusOK, missing: codeErrorConnection, result: "InvokeResult", do: invoke,
	},
	{
		id: "closeAll", summary: "Close the connections of a hub. Clients may reconnect.",
		method: http.MethodPost, paths: []string{"/hubs/{hub}/:closeConnections"},
		since: v2022June, status: http.StatusNoContent, queries: []string{"excluded", "reason"}, do: closeConnections,
	},
	{
		id: "closeGroup", summary: "Close the connections in a group. Clients may reconnect.",
		method: http.MethodPost, paths: []string{"/hubs/{hub}/groups/{group}/:closeConnections"},
		since: v2022June, status: http.StatusNoContent, queries: []string{"excluded", "reason"}, do: closeConnections,
	},
	{
		id: "closeUser", summary: "Close the connections of a user. Clients may reconnect.",
		method: http.MethodPost, paths: []string{"/hubs/{hub}/users/{user}/:closeConnections"},
		since: v2022June, status: http.StatusNoContent, queries: []string{"excluded", "reason"}, do: closeConnections,
	},
	{
		id: "closeConnection", summary: "Close a connection. Its client may reconnect. A connection that does not exist is no error.",
		method: http.MethodDelete, paths: []string{"/hubs/{hub}/connections/{connection}"}, v1Paths: []string{"/hubs/{hub}/connections/{connection}"},
		since: v2022June, status: http.StatusOK, v1Status: http.StatusAccepted,
		queries: []string{"reason"}, do: closeConnections,
	},
	{
		id: "connectionExists", summary: "Report whether a connection exists.", missing: codeConnection,
		method: http.MethodGet, paths: []string{"/hubs/{hub}/connections/{connection}"}, v1Paths: []string{"/hubs/{hub}/connections/{connection}"},
		since: v2022June, status: http.StatusOK, v1Status: http.StatusOK, do: exists,
	},
	{
		id: "groupExists", summary: "Report whether a connection is in a group.", missing: codeGroup,
		method: http.MethodGet, paths: []string{"/hubs/{hub}/groups/{group}"}, v1Paths: []string{"/hubs/{hub}/groups/{group}"},
		since: v2022June, status: http.StatusOK, v1Status: http.StatusOK, do: exists,
	},
	{
		id: "userExists", summary: "Report whether a user has a connection.", missing: codeUser,
		method: http.MethodGet, paths: []string{"/hubs/{hub}/users/{user}"}, v1Paths: []string{"/hubs/{hub}/users/{user}"},
		since: v2022June, status: http.StatusOK, v1Status: http.StatusOK, do: exists,
	},
	{
		id: "listGroup", summary: "List the connections in a group, in pages.",
		method: http.MethodGet, paths: []string{"/hubs/{hub}/groups/{group}/connections"},
		since: v2024, status: http.StatusOK, queries: []string{"maxpagesize", "top", "continuationToken"}, result: "ConnectionPage", do: list,
	},
	{
		id: "addConnectionToGroup", summary: "Add a connection to a group.", missing: codeErrorConnection,
		method: http.MethodPut, paths: groupConnection, v1Paths: groupConnection,
		since: v2022June, status: http.StatusOK, v1Status: http.StatusOK, do: addConnection,
	},
	{
		id: "removeConnectionFromGroup", summary: "Remove a connection from a group.", missing: codeErrorConnection,
		method: http.MethodDelete, paths: groupConnection, v1Paths: groupConnection,
		since: v2022June, status: http.StatusOK, v1Status: http.StatusOK, do: removeConnection,
	},
	{
		id: "removeConnectionFromAllGroups", summary: "Remove a connection from all groups.",
		method: http.MethodDelete, paths: []string{"/hubs/{hub}/connections/{connection}/groups"},
		since: v2022June, status: http.StatusOK, do: removeConnectionFromAll,
	},
	{
		id: "isUserInGroup", summary: "Report whether a user is in a group.", missing: codeNotInGroup,
		method: http.MethodGet, paths: groupUser, v1Paths: groupUser,
		since: v2022June, status: http.StatusOK, v1Status: http.StatusOK, do: hasUser,
	},
	{
		id: "addUserToGroup", summary: "Add the connections of a user to a group, and those to come within ttl seconds. Without ttl: one year; 0: present connections only.",
		method: http.MethodPut, paths: groupUser, v1Paths: groupUser,
		since: v2022June, status: http.StatusOK, v1Status: http.StatusAccepted,
		queries: []string{"ttl"}, do: addUser,
	},
	{
		id: "removeUserFromGroup", summary: "Remove a user from a group.",
		method: http.MethodDelete, paths: groupUser, v1Paths: groupUser,
		since: v2022June, status: http.StatusNoContent, v1Status: http.StatusAccepted, do: removeUser,
	},
	{
		id: "removeUserFromAllGroups", summary: "Remove a user from all groups.",
		method: http.MethodDelete, paths: []string{"/hubs/{hub}/users/{user}/groups"}, v1Paths: []string{"/hubs/{hub}/users/{user}/groups"},
		since: v2022June, status: http.StatusNoContent, v1Status: http.StatusOK, do: removeUserFromAll,
	},
	{
		id: "generateToken", summary: "Make a token with which a client connects.",
		method: http.MethodPost, paths: []string{"/hubs/{hub}/:generateToken"},
		since: v2022November, status: http.StatusOK, queries: []string{"userId", "minutesToExpire"}, result: "ClientToken", do: generateToken,
	},
}

// Memberships are served with both orders of names.
var (
	groupConnection = []string{"/hubs/{hub}/groups/{group}/connections/{connection}", "/hubs/{hub}/connections/{connection}/groups/{group}"}
	groupUser       = []string{"/hubs/{hub}/users/{user}/groups/{group}", "/hubs/{hub}/groups/{group}/users/{user}"}
)

// names are the names in a path.
type names struct{ hub, group, user, connection string }

// split returns the segments of a path below /api, decoded.
func split(u *url.URL) ([]string, error) {
	path, decode := u.Path, false
	if u.RawPath != "" {
		path, decode = u.RawPath, true
	}
	first, path, _ := strings.Cut(path[min(1, len(path)):], "/")
	if !fold.Equal(first, prefix[1:]) {
		return nil, errNoOperation
	}
	path = strings.Trim(path, "/")
	segments := strings.Split(path, "/")
	for i := range segments {
		var err error
		if decode {
			segments[i], err = url.PathUnescape(segments[i])
		}
		if err != nil || !utf8.ValidString(segments[i]) {
			return nil, invalid("path", "the path is malformed")
		}
	}
	return segments, nil
}

// pattern is a path with its routes, one for each method.
type pattern struct {
	segments []string
	all      []*route
}

// index has the patterns by the number of their segments, for v1 and for the other versions.
type index [2]map[int][]*pattern

var routes = newIndex()

func newIndex() (x index) {
	for i := range x {
		x[i] = map[int][]*pattern{}
	}
	for i := range table {
		for _, p := range table[i].paths {
			x.add(0, p, &table[i])
		}
		for _, p := range table[i].v1Paths {
			x.add(1, p, &table[i])
		}
	}
	return x
}

func (x index) add(of int, path string, r *route) {
	segments := strings.Split(path[1:], "/")
	for _, p := range x[of][len(segments)] {
		if slices.Equal(p.segments, segments) {
			p.all = append(p.all, r)
			return
		}
	}
	x[of][len(segments)] = append(x[of][len(segments)], &pattern{segments, []*route{r}})
}

var noPattern = &pattern{}

// find returns the pattern of a path, which has no routes if there is none.
func (x index) find(isV1 bool, segments []string) *pattern {
	of := 0
	if isV1 {
		of = 1
	}
	for _, p := range x[of][len(segments)] {
		if p.matches(segments) {
			return p
		}
	}
	return noPattern
}

// matches reports whether a path matches. Words of the interface ignore case; a name is not empty.
func (p *pattern) matches(segments []string) bool {
	for i, want := range p.segments {
		if want[0] == '{' && segments[i] == "" || want[0] != '{' && segments[i] != want && !fold.Equal(segments[i], want) {
			return false
		}
	}
	return true
}

// route returns the route for a method in a version.
func (p *pattern) route(method string, v version) (*route, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	for _, r := range p.all {
		switch {
		case v != v1 && v < r.since:
		case r.method == method:
			return r, nil
		default:
			allowed = append(allowed, r.method)
			if r.method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 0 {
		return nil, errNoOperation
	}
	return nil, &failure{
		status: http.StatusMethodNotAllowed, code: codeMethod, allow: strings.Join(allowed, ", "),
		message: "this path is not for the method of the request",
	}
}

// names returns the names in a path that matches.
func (p *pattern) names(segments []string) (n names) {
	for i, want := range p.segments {
		switch want {
		case "{hub}":
			n.hub = segments[i]
		case "{group}":
			n.group = segments[i]
		case "{user}":
			n.user = segments[i]
		case "{connection}":
			n.connection = segments[i]
		}
	}
	return n
}
