package connection

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/limit"
	"github.com/carillon-go/carillon/transports"
)

// Refreshing configures how connections accept fresher credentials. With the zero value only
// long polls bring them.
type Refreshing struct {
	// Enabled serves Handler.ServeRefresh, and answers a long poll of another user with the
	// request to refresh. Default false.
	Enabled bool
	// Allow decides about each refresh, including those by long polls. It runs without a
	// lock, for one refresh of a connection at a time. A panic, runtime.Goexit, and the end
	// of the request's context refuse. Default: all are allowed.
	Allow func(*transports.Refresh) bool
	// Max is the longest time from a negotiation or a refresh to the end of the
	// authentication. Default 0: as long as the credentials say.
	Max time.Duration
}

// SetRefreshing sets how connections accept fresher credentials. It must be called before the
// first request.
func (r *Registry) SetRefreshing(o Refreshing) { r.refreshing = o }

// A connection may be refreshed refreshBurst times in a row, and once more per
// refreshInterval.
const (
	refreshInterval = time.Second / 20
	refreshBurst    = 100
)

// refreshes holds the state of a connection's refreshes. The lock of credentials guards it.
type refreshes struct {
	turn   chan struct{} // full during a refresh
	budget limit.Budget  // by the registry's age
}

// tokenHeader is the header with the token of the refreshed connection, in http.Header's
// spelling.
const tokenHeader = "X-Signalr-Connection-Token"

// RefreshedToken returns the token of the connection that a refresh concerns, or "". It is
// the nonempty values of X-SignalR-Connection-Token, joined by commas as in ASP.NET Core, so
// that several tokens match no connection. Clients of the release candidates of ASP.NET Core
// 11 send the token in the query.
func RefreshedToken(r *http.Request) string {
	token := ""
	for _, value := range r.Header[tokenHeader] {
		switch {
		case value == "":
		case token == "":
			token = value
		default:
			token += "," + value
		}
	}
	if token == "" {
		return Token(r)
	}
	return token
}

// IsRefresh reports whether a request is a refresh, at a path that may also be a hub's own:
// it has the header, or is a POST without a connection.
func IsRefresh(r *http.Request) bool {
	return len(r.Header[tokenHeader]) > 0 || fold.Equal(r.Method, http.MethodPost) && Token(r) == ""
}

// Answers to a refresh that changed nothing.
const (
	missingToken       = `{"error":"missing_connection_token"}`
	unsupportedVersion = `{"error":"unsupported_negotiate_version"}`
	connectionNotFound = `{"error":"connection_not_found"}`
	userChanged        = `{"error":"user_changed"}`
	changeRejected     = `{"error":"permission_change_rejected"}`
	tooManyRefreshes   = `{"error":"too_many_refreshes"}`
	refreshRequired    = `{"error":"authentication_refresh_required"}`
)

// ServeRefresh accepts fresher credentials for a connection. The request is authenticated
// like every other one. Status codes and JSON members are those of ASP.NET Core 11.
func (h *Handler) ServeRefresh(w http.ResponseWriter, r *http.Request) {
	h.serve(w, r, Unavailable, h.refresh)
}

func (h *Handler) refresh(w http.ResponseWriter, r *http.Request) {
	token := RefreshedToken(r)
	switch {
	case !h.registry.refreshing.Enabled:
		w.Header()["Content-Length"] = noLength
		w.WriteHeader(http.StatusNotFound)
		return
	case !fold.Equal(r.Method, http.MethodPost):
		NotAllowed(w, r)
		return
	case token == "":
		object(w, http.StatusBadRequest, missingToken)
		return
	}
	c, ok := h.resolve(w, r, token, false)
	if !ok {
		return
	}
	if c != nil {
		StoreName(r, c.LogName)
	}
	switch {
	case c == nil:
		object(w, http.StatusNotFound, connectionNotFound)
		return
	case !c.HasToken():
		object(w, http.StatusBadRequest, unsupportedVersion)
		return
	}
	limit := h.letApplicationWait(w, r)
	u, err := h.renew(r, c)
	limit()
	if err != nil {
		h.refuseRefresh(w, r, c, err)
		return
	}
	answer := "{}"
	if seconds, ok := u.Lifetime(); ok {
		answer = `{"tokenLifetimeSeconds":` + strconv.FormatInt(seconds, 10) + `}`
	}
	object(w, http.StatusOK, answer)
}

// refuseRefresh answers a refresh, or a poll, that renew refused.
func (h *Handler) refuseRefresh(w http.ResponseWriter, r *http.Request, c *Connection, err error) {
	switch {
	case errors.Is(err, ErrUserChanged):
		h.logRefusedUser(r, c, "the credentials are those of another user")
		object(w, http.StatusForbidden, userChanged)
	case errors.Is(err, ErrRefreshedOften):
		w.Header().Set("Retry-After", "1")
		object(w, http.StatusTooManyRequests, tooManyRefreshes)
	case errors.Is(err, transports.ErrEnded):
		object(w, http.StatusNotFound, connectionNotFound)
	default:
		h.logRefusedUser(r, c, "the application refuses the credentials")
		object(w, http.StatusForbidden, changeRejected)
	}
}

// refreshByPoll accepts the credentials of a poll if they are fresher than the connection's.
// It reports whether it has answered the poll. It ignores refreshes beyond the limit.
func (h *Handler) refreshByPoll(w http.ResponseWriter, r *http.Request, c *Connection) (answered bool) {
	if kind := c.Transport(); kind != "" && kind != transports.LongPolling || !auth.UserFrom(r.Context()).FresherThan(c.User()) {
		return false
	}
	limit := h.letApplicationWait(w, r)
	_, err := h.renew(r, c)
	limit()
	if errors.Is(err, ErrRefused) {
		h.refuseRefresh(w, r, c, err)
		return true
	}
	return false
}

// refuseUser answers a request of a user other than the connection's.
func (h *Handler) refuseUser(w http.ResponseWriter, r *http.Request, c *Connection, kind transports.Type) {
	h.logRefusedUser(r, c, "the connection belongs to another user")
	if kind == transports.LongPolling && h.registry.refreshing.Enabled && c.Transport() == transports.LongPolling {
		object(w, http.StatusConflict, refreshRequired)
		return
	}
	Text(w, http.StatusForbidden, "The user associated with this connection changed.")
}

// object answers with a JSON object.
func object(w http.ResponseWriter, status int, body string) {
	w.Header()["Content-Type"] = jsonObject
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

var jsonObject = []string{"application/json"}
