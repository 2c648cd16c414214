// Package negotiate answers POST {hub}/negotiate: it makes a connection and tells
// the client its id, its token, and which transports to try in which order. What is
// offered is decided for each request by a Policy.
package negotiate

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/carillon-go/carillon/transports"
)

// Version is the highest version of negotiation: 1 tells token and id apart.
const Version = 1

// Response is the answer, in the order of the original's properties. A server sends
// either Error, or URL with or without AccessToken, or the rest.
type Response struct {
	Error                string      `json:"error,omitempty"`
	URL                  string      `json:"url,omitempty"`
	AccessToken          string      `json:"accessToken,omitempty"`
	UseStatefulReconnect bool        `json:"useStatefulReconnect,omitempty"`
	TokenLifetimeSeconds int         `json:"tokenLifetimeSeconds,omitempty"` // .NET 11
	NegotiateVersion     int         `json:"negotiateVersion"`
	ConnectionID         string      `json:"connectionId"`
	ConnectionToken      string      `json:"connectionToken,omitempty"`
	AvailableTransports  []Transport `json:"availableTransports"`
	// StatefulTransports are those that UseStatefulReconnect is true for, told only to a
	// client that asks with statefulTransports=all. SignalR's servers know WebSockets only.
	StatefulTransports []transports.Type `json:"statefulTransports,omitempty"`
}

// Transport is one that a client may try.
type Transport struct {
	Transport       transports.Type `json:"transport"`
	TransferFormats []string        `json:"transferFormats"`
}

// refusal is a Response with nothing but an error; redirect one with nothing but a
// target. Clients that see more take it for an offer.
type refusal struct {
	Error string `json:"error"`
}

type redirect struct {
	URL         string `json:"url"`
	AccessToken string `json:"accessToken,omitempty"`
}

// query returns the values of a parameter, whose name has no case.
func query(r *http.Request, name string) []string {
	var all []string
	for n, values := range r.URL.Query() {
		if strings.EqualFold(n, name) {
			all = append(all, values...)
		}
	}
	return all
}

// version reads the version that a client asks for. As .NET's Int32.TryParse it
// allows white space around the number, a sign, zeros before it and NULs behind it.
func version(r *http.Request) (n int, ok bool) {
	values := query(r, "negotiateVersion")
	if len(values) == 0 {
		return 0, true
	}
	if len(values) > 1 {
		return 0, false
	}
	n, err := strconv.Atoi(strings.Trim(strings.TrimRight(values[0], "\x00"), " \t\n\v\f\r"))
	return n, err == nil && n >= math.MinInt32 && n <= math.MaxInt32
}

// wantsStateful tells on which transports the client asks for stateful reconnect.
func wantsStateful(r *http.Request) []transports.Type {
	values := query(r, "useStatefulReconnect")
	switch {
	case len(values) != 1 || !strings.EqualFold(strings.TrimSpace(values[0]), "true"):
		return nil
	case r.URL.Query().Get("statefulTransports") == "all":
		return transports.All()
	default:
		return []transports.Type{transports.WebSockets}
	}
}
