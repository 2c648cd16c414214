package endpoint

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// refresh takes fresher credentials for a connection: POST {path}/refresh?id={token},
// authenticated as every other request. Codes and members are those of ASP.NET Core 11.
type refresh struct{ registry *transports.Registry }

// refreshed is the answer of refresh: for how long the new credentials are good, or
// why they were refused.
type refreshed struct {
	TokenLifetimeSeconds int    `json:"tokenLifetimeSeconds,omitempty"`
	Error                string `json:"error,omitempty"`
}

func (h refresh) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.registry.RefuseLongHead(w, r) {
		return
	}
	if !strings.EqualFold(r.Method, http.MethodPost) {
		transports.NotAllowed(w, r)
		return
	}
	id, user := transports.Token(r), auth.UserFrom(r.Context())
	if id == "" {
		respond(w, http.StatusBadRequest, refreshed{Error: "missing_connection_token"})
		return
	}
	if user == nil {
		respond(w, http.StatusUnauthorized, refreshed{Error: "invalid_token"})
		return
	}
	c := h.registry.Find(id)
	switch {
	case c == nil || !c.HasToken():
		respond(w, http.StatusNotFound, refreshed{Error: "connection_not_found"})
	case !c.Refresh(user):
		respond(w, http.StatusForbidden, refreshed{Error: "user_changed"})
	default:
		respond(w, http.StatusOK, refreshed{TokenLifetimeSeconds: user.Lifetime()})
	}
}

func respond(w http.ResponseWriter, status int, body refreshed) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
