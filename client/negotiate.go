package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/signalr"
)

// maxRedirects is the limit of redirects in a negotiation, as in the official clients.
const maxRedirects = 100

// maxNegotiation is the limit in bytes of the answer to a negotiation.
const maxNegotiation = 64 << 10

// offer is the answer to POST {hub}/negotiate.
type offer struct {
	signalr.Negotiation
	// OldVersion is only in answers of ASP.NET SignalR, which is another protocol.
	OldVersion string `json:"ProtocolVersion"`
}

// target is the address of the transports.
type target struct {
	hub   *url.URL // after redirects
	cred  credentials
	id    string
	token string
	// issued is the access token of a redirect; nil: none.
	issued *atomic.Pointer[string]
	// expires is the time when the server ends the authentication; zero: unknown.
	expires time.Time
	// renewed holds the lifetime of the authentication after the last refresh.
	renewed chan time.Duration
	// stateful are the transports on which the connection survives its sockets.
	stateful []Transport
	// resumed counts the sockets that broke. A server that resumes event streams and polls
	// recognizes by it requests of an older socket, such as the late handshake of a WebSocket.
	// Other servers ignore it.
	resumed int
	// received is the number of the last message received before the socket broke. Carillon's
	// server continues after it. Other servers ignore it.
	received int64
}

// url returns the URL for transports. The token is a secret: this URL must not appear in errors or
// logs.
func (t target) url() *url.URL {
	if t.token == "" {
		return t.hub
	}
	u := withQuery(t.hub, "id="+url.QueryEscape(t.token))
	if t.resumed > 0 {
		u = withQuery(u, "carillonResume="+strconv.Itoa(t.resumed)+"&carillonReceived="+strconv.FormatInt(t.received, 10))
	}
	return u
}

// negotiate requests t's offer and follows redirects.
func (n *network) negotiate(ctx context.Context, t target, stateful bool) (target, []signalr.Offer, error) {
	for range maxRedirects {
		o, err := n.negotiateOnce(ctx, t, stateful)
		if err != nil {
			return t, nil, err
		}
		if o.TokenLifetimeSeconds > 0 { // only one of several servers of a redirection may report it
			t.expires = time.Now().Add(lifetime(o.TokenLifetimeSeconds))
		}
		if o.URL == "" {
			t.id, t.token, t.stateful = o.ConnectionID, o.ConnectionToken, o.stateful()
			t.renewed = make(chan time.Duration, 1)
			if o.NegotiateVersion == 0 {
				t.token = o.ConnectionID
			}
			return t, o.AvailableTransports, nil
		}
		if t.hub, err = t.hub.Parse(o.URL); err != nil {
			return t, nil, &NegotiateError{Message: "the redirect's URL is invalid"}
		}
		if o.AccessToken != "" {
			t.issued = new(atomic.Pointer[string])
			t.issued.Store(&o.AccessToken)
			t.cred = issuedToken(t.issued)
		}
	}
	return t, nil, ErrTooManyRedirects
}

// stateful returns the transports on which the server lets a connection survive its sockets.
func (o *offer) stateful() []Transport {
	if o.UseStatefulReconnect && len(o.StatefulTransports) == 0 {
		return []Transport{WebSockets}
	}
	return o.StatefulTransports
}

// renew records how long the authentication lasts from now on. Only the last value counts.
func (t target) renew(lifetime time.Duration) {
	select {
	case <-t.renewed:
	default:
	}
	select {
	case t.renewed <- lifetime:
	default: // another call was faster
	}
}

// lifetime converts the lifetime of an access token in seconds to a Duration, limited to the
// largest one.
func lifetime(seconds int64) time.Duration {
	return time.Duration(min(max(0, seconds), math.MaxInt64/int64(time.Second))) * time.Second
}

func (n *network) negotiateOnce(ctx context.Context, t target, stateful bool) (*offer, error) {
	response, err := n.do(ctx, t.cred, request{op: "negotiate", method: http.MethodPost, url: negotiateURL(t.hub, stateful).String(), repeatable: true})
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, failure("negotiate", response)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxNegotiation+1))
	if err != nil {
		return nil, fmt.Errorf("client: negotiate: %w", err)
	}
	return parseOffer(body, stateful)
}

func parseOffer(body []byte, stateful bool) (*offer, error) {
	var o offer
	if len(body) > maxNegotiation {
		return nil, &NegotiateError{Message: "the answer is too long"}
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, &NegotiateError{Message: "invalid negotiation response: " + err.Error()}
	}
	switch {
	case o.OldVersion != "":
		return nil, &NegotiateError{Message: "detected a connection attempt to an ASP.NET SignalR server; this client only supports ASP.NET Core SignalR"}
	case o.Error != "":
		return nil, &NegotiateError{Message: o.Error}
	case o.URL != "":
		return &o, nil
	case o.ConnectionID == "":
		return nil, &NegotiateError{Message: "the answer has no connectionId"}
	case o.NegotiateVersion > 0 && o.ConnectionToken == "":
		return nil, &NegotiateError{Message: "the answer has no connectionToken"}
	case o.UseStatefulReconnect && !stateful:
		return nil, &NegotiateError{Message: "the answer has stateful reconnect enabled, which was not asked for"}
	}
	return &o, nil
}

func negotiateURL(hub *url.URL, stateful bool) *url.URL {
	u := below(hub, "negotiate")
	if !u.Query().Has("negotiateVersion") {
		u = withQuery(u, "negotiateVersion=1")
	}
	if stateful {
		u = withQuery(u, "useStatefulReconnect=true&statefulTransports=all")
	}
	return u
}

// below returns the URL of a resource of the hub other than its transports.
func below(hub *url.URL, name string) *url.URL {
	v := *hub
	v.Path = strings.TrimSuffix(v.Path, "/") + "/" + name
	if v.RawPath != "" {
		v.RawPath = strings.TrimSuffix(v.RawPath, "/") + "/" + name
	}
	return &v
}

// withQuery appends a parameter to the query, which otherwise stays as written.
func withQuery(u *url.URL, parameter string) *url.URL {
	v := *u
	if v.RawQuery != "" {
		v.RawQuery += "&"
	}
	v.RawQuery += parameter
	return &v
}
