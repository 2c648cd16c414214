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

// maxRedirects that a negotiation may take, as the official clients count.
const maxRedirects = 100

// maxNegotiation bounds the answer to a negotiation in bytes.
const maxNegotiation = 64 << 10

// offer is the answer to POST {hub}/negotiate.
type offer struct {
	signalr.Negotiation
	// OldVersion is only there in answers of ASP.NET SignalR, which is another protocol.
	OldVersion string `json:"ProtocolVersion"`
}

// target is where transports connect to.
type target struct {
	hub   *url.URL // after redirects
	cred  credentials
	id    string
	token string
	// issued is the access token that a redirect brought; nil: none did.
	issued *atomic.Pointer[string]
	// expires is when the server takes the authentication for ended; zero: it did not say.
	expires time.Time
	// renewed has how long the last refresh lets the authentication last.
	renewed chan time.Duration
	// stateful are the transports on which the connection survives its sockets.
	stateful []Transport
	// resumed counts the sockets that broke. A server that resumes event streams and polls tells
	// by it what is left of an older one, such as a WebSocket's late handshake; no other minds it.
	resumed int
	// received is the number of the last message that came before the socket broke. Carillon's server
	// begins behind it; others do not mind it.
	received int64
}

// url of the target's transports. The token is a secret: this URL does not belong into errors or logs.
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

// negotiate asks t's hub what it offers and follows its redirects.
func (n *network) negotiate(ctx context.Context, t target, stateful bool) (target, []signalr.Offer, error) {
	for range maxRedirects {
		o, err := n.negotiateOnce(ctx, t, stateful)
		if err != nil {
			return t, nil, err
		}
		if o.TokenLifetimeSeconds > 0 { // a server that redirects may tell it, and the next one not
			t.expires = o.expires()
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

// stateful are the transports on which the server lets a connection survive its sockets.
func (o *offer) stateful() []Transport {
	if o.UseStatefulReconnect && len(o.StatefulTransports) == 0 {
		return []Transport{WebSockets}
	}
	return o.StatefulTransports
}

// expires is when the authentication ends.
func (o *offer) expires() time.Time { return time.Now().Add(lifetime(o.TokenLifetimeSeconds)) }

// renew notes how long the authentication lasts from now on. Only the last one counts.
func (t target) renew(lifetime time.Duration) {
	for {
		select {
		case t.renewed <- lifetime:
			return
		default:
		}
		select {
		case <-t.renewed:
		default:
		}
	}
}

// lifetime is that of an access token that is good for so many seconds yet: at most as long as a Duration holds.
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

// below is the URL of what a hub has beside its transports.
func below(hub *url.URL, name string) *url.URL {
	v := *hub
	v.Path = strings.TrimSuffix(v.Path, "/") + "/" + name
	if v.RawPath != "" {
		v.RawPath = strings.TrimSuffix(v.RawPath, "/") + "/" + name
	}
	return &v
}

// withQuery adds a parameter behind the query as it is written.
func withQuery(u *url.URL, parameter string) *url.URL {
	v := *u
	if v.RawQuery != "" {
		v.RawQuery += "&"
	}
	v.RawQuery += parameter
	return &v
}
