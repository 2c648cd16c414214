package transports

import (
	"net/http"
	"time"

	"github.com/carillon-go/carillon/auth"
)

// Refresh is the subject of Refreshing.Allow's decision.
type Refresh struct {
	// Request is the request with the credentials. It has no body.
	Request *http.Request
	// ConnectionID is the public id of the connection.
	ConnectionID string
	// Previous is the connection's current user. User is the same user with the new
	// credentials. Neither may be changed.
	Previous, User *auth.User
	// Ends is the end of the authentication with the new credentials. Zero: never.
	Ends time.Time
}
