package cluster

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// Local is what other processes ask of a hub of this process. It is safe for concurrent use.
type Local interface {
	// HandOver removes and returns the negotiation with a key, if no request has opened it
	// and it belongs to the user. ok is false otherwise.
	HandOver(key string, user *auth.User) (h Handover, ok bool)
	// Holds reports whether a negotiation or a connection with the key is here, and whether a
	// request has opened it. It opens nothing.
	Holds(key string) (here, opened bool)
	// ServeHTTP serves a request that another process has authenticated and forwarded. It
	// never forwards it.
	http.Handler
}

// Handover is a negotiation that another process continues.
type Handover struct {
	ID, Key  string
	User     *auth.User // nil: anonymous
	Origin   string     // of the page that negotiated, if it looks like another site's
	Stateful []transports.Type
	Silence  time.Duration   // time of silence after which the network cuts connections; 0: unknown
	Age      time.Duration   // since the negotiation
	Offer    json.RawMessage // for the observer of the connection; empty: it has none
}

// Forward answers a request as the owner of its connection does. An error means that the owner
// did not answer and nothing was written.
type Forward func(w http.ResponseWriter, r *http.Request) error

// Claimer makes a connection of this process from a negotiation of another one.
type Claimer interface {
	// Admit fails if a limit refuses another connection.
	Admit() error
	// Adopt makes the connection after Admit.
	Adopt(Handover) error
}
