// Package negotiate answers POST {hub}/negotiate: it makes a connection and tells
// the client its id, its token, and which transports to try in which order. What is
// offered is decided for each request by a Policy.
package negotiate

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// Version is the highest version of negotiation: 1 tells token and id apart.
const Version = 1

// response is an answer that offers a connection.
type response struct {
	signalr.Negotiation
	hasLifetime bool // TokenLifetimeSeconds is sent, even if it is 0
}

// append appends the JSON of an offer: negotiations come in crowds. Ids, tokens and names
// of transports have nothing to escape.
func (r *response) append(b []byte) []byte {
	b = append(b, '{')
	if r.UseStatefulReconnect {
		b = append(b, `"useStatefulReconnect":true,`...)
	}
	b = strconv.AppendInt(append(b, `"negotiateVersion":`...), int64(r.NegotiateVersion), 10)
	b = append(append(append(b, `,"connectionId":"`...), r.ConnectionID...), '"')
	if r.ConnectionToken != "" {
		b = append(append(append(b, `,"connectionToken":"`...), r.ConnectionToken...), '"')
	}
	if r.hasLifetime {
		b = strconv.AppendInt(append(b, `,"tokenLifetimeSeconds":`...), r.TokenLifetimeSeconds, 10)
	}
	b = append(b, `,"availableTransports":[`...)
	for i, t := range r.AvailableTransports {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"transport":"`...), t.Transport...)
		b = appendNames(append(b, `","transferFormats":`...), t.TransferFormats)
		b = append(b, '}')
	}
	b = append(b, ']')
	if len(r.StatefulTransports) > 0 {
		b = appendNames(append(b, `,"statefulTransports":`...), r.StatefulTransports)
	}
	return append(b, '}')
}

func appendNames[S ~string](b []byte, names []S) []byte {
	b = append(b, '[')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), '"')
	}
	return append(b, ']')
}

// refusal is a response with nothing but an error; redirect one with nothing but a
// target. Clients that see more take it for an offer.
type refusal struct {
	Error string `json:"error"`
}

type redirect struct {
	URL         string `json:"url"`
	AccessToken string `json:"accessToken,omitempty"`
}

// version reads the version that a client asks for. As .NET's Int32.TryParse it
// allows white space around the number, a sign, zeros before it and NULs behind it.
func version(r *http.Request) (n int, ok bool) {
	value, count := transports.Parameter(r, "negotiateVersion")
	if count == 0 {
		return 0, true
	}
	if count > 1 {
		return 0, false
	}
	n, err := strconv.Atoi(strings.Trim(strings.TrimRight(value, "\x00"), " \t\n\v\f\r"))
	return n, err == nil && n >= math.MinInt32 && n <= math.MaxInt32
}

// wantsStateful tells on which transports the client asks for stateful reconnect.
func wantsStateful(r *http.Request) []transports.Type {
	wanted, _ := transports.Parameter(r, "useStatefulReconnect")
	which, _ := transports.Parameter(r, "statefulTransports")
	switch {
	case !fold.Equal(strings.TrimSpace(wanted), "true"):
		return nil
	case which == "all":
		return signalr.Transports()
	default:
		return []transports.Type{transports.WebSockets}
	}
}
