// Package serviceclient serves clients that an application has redirected to /client/?hub={hub}
// with a token that an access key of the hub has signed, as applications do that were written for
// Azure SignalR Service.
package serviceclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/authlog"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/httpreq"
)

// Path is the path of the endpoints, without the slash at its end.
const Path = "/client"

// Endpoint is the endpoint of a hub for redirected clients. It accepts tokens of the hub's access
// keys alone, ignores cookies, and removes them from the requests. The token bounds the
// negotiation and the opening of a connection; the later requests of the connection are accepted
// with it after its end, too. A claim asrs.s.coae ends the connection, at the time in asrs.s.aeo or
// at the end of the token. Safe for concurrent use.
type Endpoint struct {
	*endpoint.Endpoint
	hub   *hosting.Hub
	ready Ready
}

// Ready waits until a client with a token may negotiate. If it fails, the negotiation is answered
// 503, and the log has the error.
type Ready func(ctx context.Context, t *accesskey.Token) error

// New returns the endpoint of h for redirected clients. Of o, it does not use the options for
// authentication, tickets, event listeners, pages and stateful reconnect. Without allowed origins
// the pages of every origin may use the endpoint. ready may be nil.
func New(h *hosting.Hub, o endpoint.Options, ready Ready) *Endpoint {
	e := &Endpoint{hub: h, ready: ready}
	connections := o.Options
	connections.AllowedOrigins, connections.AllowStatefulReconnect = orAny(o.AllowedOrigins), false
	e.Endpoint = endpoint.New(h.Hub, endpoint.Options{
		Options: connections, Transports: o.Transports, Policy: o.Policy, Cluster: o.Cluster,
		MinimumProtocolVersion:          1,
		Authenticator:                   auth.Func(e.authenticate),
		TokensOnly:                      true,
		CloseOnAuthenticationExpiration: true, // the authentication of most users has no end
	})
	return e
}

// SetAllowedOrigins replaces the allowed origins. None: the pages of every origin are allowed.
func (e *Endpoint) SetAllowedOrigins(origins []string) { e.Endpoint.SetAllowedOrigins(orAny(origins)) }

func orAny(origins []string) []string {
	if len(origins) == 0 {
		return []string{"*"}
	}
	return origins
}

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.Header["Cookie"]) > 0 {
		bare := *r
		bare.Header = r.Header.Clone()
		bare.Header.Del("Cookie")
		r = &bare
	}
	e.Endpoint.ServeHTTP(w, r)
}

// authenticate implements auth.Authenticator.
func (e *Endpoint) authenticate(r *http.Request) (*auth.User, error) {
	text, _ := auth.Token(r)
	if text == "" {
		return nil, nil
	}
	token, err := e.hub.Keys().Token(text, accesskey.Client, e.hub.Name, r)
	if token == nil {
		return nil, err
	}
	u := &auth.User{ID: token.UserID(), Claims: claimsOf(token), Expires: endOf(token)}
	u.Expired = errors.Is(err, accesskey.ErrExpired) || !u.Expires.IsZero() && !time.Now().Before(u.Expires)
	if _, n := httpreq.Parameter(r, "id"); u.Expired && n == 0 { // it is of no connection
		return nil, &auth.TokenError{Reason: "The token expired", Err: err}
	}
	if e.ready != nil && r.Method == http.MethodPost && negotiates(r) {
		if err := e.ready(r.Context(), token); err != nil {
			return nil, &auth.StatusError{Status: http.StatusServiceUnavailable, Err: err}
		}
	}
	return u, nil
}

// negotiates reports whether a request is for the negotiation and not for a connection.
func negotiates(r *http.Request) bool {
	return fold.Equal(strings.TrimSuffix(r.URL.Path, "/"), Path+"/negotiate")
}

// claimsOf returns the claims of the user, without the one that only the connect call of the hub's
// path may set. A type that occurs several times has a list.
func claimsOf(t *accesskey.Token) map[string]any {
	claims := map[string]any{}
	for _, c := range t.UserClaims() {
		switch before := claims[c.Type].(type) {
		case nil:
			claims[c.Type] = c.Value
		case []any:
			claims[c.Type] = append(before, c.Value)
		default:
			claims[c.Type] = []any{before, c.Value}
		}
	}
	delete(claims, hosting.GroupsClaim)
	return claims
}

// endOf returns the time when the connections of a token end. Zero: never.
func endOf(t *accesskey.Token) time.Time {
	if ends, _ := t.First("asrs.s.coae"); !fold.Equal(ends, "true") {
		return time.Time{}
	}
	at, _ := t.First("asrs.s.aeo")
	if seconds, err := strconv.ParseInt(at, 10, 64); err == nil {
		return time.Unix(seconds, 0)
	}
	return t.Expires
}

// Paths are the paths that the handler of Handler serves. They ignore case and may end in a slash.
func Paths() []string { return []string{Path, Path + "/negotiate"} }

// Handler returns a handler that serves each request at the endpoint of the hub that its query
// names. find returns that endpoint, or nil if there is none, which is answered 404.
func Handler(find func(hub string) *Endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, n := httpreq.Parameter(r, "hub")
		if n == 1 {
			if e := find(name); e != nil {
				e.ServeHTTP(w, r)
				return
			}
		}
		authlog.Refused(r, "", "there is no hub with access keys and this name", fmt.Errorf("hub %q", name))
		w.WriteHeader(http.StatusNotFound)
	})
}
