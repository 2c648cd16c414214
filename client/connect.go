package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/carillon-go/carillon/signalr"
)

// connector makes sessions from a URL.
type connector struct {
	options Options
	hub     *url.URL
	network *network
	// begin starts a session on a connected transport.
	begin func(carrier, Transport, target) *session
	// onRefreshed is called with the outcome of each successful refresh.
	onRefreshed func(refreshed)
}

// connect negotiates, tries the common transports in the server's order, and does the SignalR
// handshake on the first one that connects.
//
// As in the official clients, each attempt negotiates anew and continues in the first answer's
// list. Unlike there, a transport without a response to the handshake has failed too: a proxy that
// buffers event streams has that effect.
func (c *connector) connect(ctx context.Context) (*session, error) {
	start := target{hub: c.hub, cred: c.credentials()}
	if c.options.SkipNegotiation {
		return c.connectDirectly(ctx, start)
	}
	t, offered, err := c.negotiate(ctx, start)
	if err != nil {
		return nil, err
	}
	usable, failures := c.usable(offered)
	usable = c.options.Memory.arrange(origin(t.hub), usable)
	var failed []Transport
	for i, transport := range usable {
		if i > 0 {
			if t, err = c.negotiateAgain(ctx, t, start); err != nil {
				return nil, err
			}
		}
		s, err := c.open(ctx, t, transport, i == len(usable)-1)
		if err == nil {
			c.options.Memory.record(origin(t.hub), failed, transport)
			return s, nil
		}
		if refused := new(HandshakeError); errors.As(err, &refused) || isBusy(err) || ctx.Err() != nil {
			return nil, err // every transport would fail alike
		}
		c.options.Logger.DebugContext(ctx, "transport failed", "transport", transport, "error", err)
		failed = append(failed, transport)
		failures = append(failures, &TransportError{Transport: transport, Err: err})
	}
	if len(usable) == 0 {
		failures = append([]error{ErrNoTransport}, failures...)
	}
	return nil, &connectError{failures: failures}
}

// negotiateAgain negotiates for the next transport, with the token of a redirect if there was one.
// If the failed transport has used up that token, it negotiates with the application's credentials.
func (c *connector) negotiateAgain(ctx context.Context, t, start target) (target, error) {
	next, _, err := c.negotiate(ctx, t)
	if refused := new(HTTPError); errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized && !t.cred.renewable {
		next, _, err = c.negotiate(ctx, start)
	}
	return next, err
}

// credentials returns the application's credentials.
func (c *connector) credentials() credentials {
	return credentials{token: c.options.AccessToken, renewable: c.options.AccessToken != nil}
}

func (c *connector) connectDirectly(ctx context.Context, t target) (*session, error) {
	if !slices.Contains(c.options.Transports, WebSockets) {
		return nil, fmt.Errorf("client: negotiation can only be skipped for %s", WebSockets)
	}
	s, err := c.open(ctx, t, WebSockets, true)
	if err != nil {
		return nil, &TransportError{Transport: WebSockets, Err: err}
	}
	return s, nil
}

func (c *connector) negotiate(ctx context.Context, t target) (target, []signalr.Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.RequestTimeout)
	defer cancel()
	return c.network.negotiate(ctx, t, c.options.StatefulReconnect)
}

// usable returns the transports to try, and the reasons against the others.
func (c *connector) usable(offered []signalr.Offer) (usable []Transport, reasons []error) {
	format := "Text"
	if c.options.Protocol.Binary() {
		format = "Binary"
	}
	for _, o := range offered {
		switch {
		case o.Transport != WebSockets && o.Transport != ServerSentEvents && o.Transport != LongPolling:
			continue // a transport that this version does not know
		case !slices.Contains(c.options.Transports, o.Transport):
			reasons = append(reasons, &TransportError{o.Transport, errors.New("disabled by the client")})
		case !slices.Contains(o.TransferFormats, format):
			reasons = append(reasons, &TransportError{o.Transport, fmt.Errorf("does not support the transfer format %s", format)})
		default:
			usable = append(usable, o.Transport)
		}
	}
	return usable, reasons
}

// open connects one transport and does the handshake, each within the transport's time limit.
func (c *connector) open(ctx context.Context, t target, transport Transport, last bool) (*session, error) {
	limit := min(c.options.TransportTimeout, c.options.HandshakeTimeout)
	if last {
		limit = c.options.HandshakeTimeout
	}
	carrier, err := c.openCarrier(ctx, t, transport, limit)
	if err != nil {
		return nil, err
	}
	s := c.begin(carrier, transport, t)
	opening, cancel := context.WithTimeoutCause(ctx, limit, errNoHandshake)
	defer cancel()
	if err := s.handshake(opening); err != nil {
		s.abort(err)
		return nil, err
	}
	return s, nil
}

var (
	errNoAnswer    = errors.New("client: the transport did not answer in time")
	errNoHandshake = errors.New("client: the server did not answer the handshake in time")
)

func (c *connector) openCarrier(ctx context.Context, t target, transport Transport, limit time.Duration) (carrier, error) {
	opening, cancel := context.WithTimeoutCause(ctx, limit, errNoAnswer)
	defer cancel()
	var opened carrier
	var err error
	switch transport {
	case WebSockets:
		opened, err = openWebSocket(opening, c.network, t, c.options.Protocol.Binary())
	case ServerSentEvents:
		opened, err = openEventStream(opening, c.network, t, c.options)
	default:
		opened, err = openLongPolling(opening, c.network, t, c.options, c.refreshFor(t))
	}
	if err != nil && opening.Err() != nil {
		return nil, context.Cause(opening)
	}
	return opened, err
}

// refreshFor returns the function that refreshes the authentication when the server requires it for
// a poll of t. It returns nil if the client does not refresh automatically.
func (c *connector) refreshFor(t target) func(context.Context) error {
	if !c.options.refreshesItself() {
		return nil
	}
	return func(ctx context.Context) error {
		_, err := c.refresh(ctx, t)
		return err
	}
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
