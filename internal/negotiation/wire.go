// Package negotiation answers POST {hub}/negotiate. It promises a connection and sends the
// client its id, its token, and the transports to try, in order. A negotiate.Policy decides
// for each request which transports are offered.
package negotiation

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// Version is the highest supported version of negotiation. Since version 1 the connection
// token differs from the connection id.
const Version = 1

// response is an answer that offers a connection.
type response struct {
	signalr.Negotiation
	hasLifetime bool // TokenLifetimeSeconds is sent, even if it is 0
}

// append appends the JSON of an offer without encoding/json, because many clients negotiate
// at the same time after an outage. Ids, tokens and names of transports need no escaping.
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

// refusal is a response with an error only, and redirect one with a target only. Clients take
// an answer with more properties for an offer.
type refusal struct {
	Error string `json:"error"`
}

type redirect struct {
	URL         string `json:"url"`
	AccessToken string `json:"accessToken,omitempty"`
}

// version returns the version that a client requests. Like .NET's Int32.TryParse it accepts
// white space around the number, a sign, leading zeros and trailing NULs.
func version(r *http.Request) (n int, ok bool) {
	value, count := httpreq.Parameter(r, "negotiateVersion")
	if count == 0 {
		return 0, true
	}
	if count > 1 {
		return 0, false
	}
	n, err := strconv.Atoi(strings.Trim(strings.TrimRight(value, "\x00"), " \t\n\v\f\r"))
	return n, err == nil && n >= math.MinInt32 && n <= math.MaxInt32
}

// wantsStateful returns the transports for which the client requests stateful reconnect.
func wantsStateful(r *http.Request) []transports.Type {
	wanted, _ := httpreq.Parameter(r, "useStatefulReconnect")
	which, _ := httpreq.Parameter(r, "statefulTransports")
	switch {
	case !fold.Equal(strings.TrimSpace(wanted), "true"):
		return nil
	case which == "all":
		return signalr.Transports()
	default:
		return []transports.Type{transports.WebSockets}
	}
}
