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

// connect negotiates, tries the common transports in the server's order, and does the SignalR
// handshake on the first one that connects.
//
// As in the official clients, each attempt negotiates anew and continues in the first answer's
// list. Unlike there, a transport without a response to the handshake has failed too: a proxy that
// buffers event streams has that effect.
func (r *run) connect(ctx context.Context) (*session, error) {
	start := target{hub: r.conn.hub, cred: r.credentials()}
	if r.conn.options.SkipNegotiation {
		return r.connectDirectly(ctx, start)
	}
	t, offered, err := r.negotiate(ctx, start)
	if err != nil {
		return nil, err
	}
	usable, failures := r.usable(offered)
	usable = r.conn.options.Memory.arrange(origin(t.hub), usable)
	var failed []Transport
	for i, transport := range usable {
		if i > 0 {
			if t, err = r.negotiateAgain(ctx, t, start); err != nil {
				return nil, err
			}
		}
		s, err := r.open(ctx, t, transport, i == len(usable)-1)
		if err == nil {
			r.conn.options.Memory.record(origin(t.hub), failed, transport)
			return s, nil
		}
		if _, refused := errors.AsType[*HandshakeError](err); refused || isBusy(err) || ctx.Err() != nil {
			return nil, err // every transport would fail alike
		}
		r.conn.options.Logger.DebugContext(ctx, "transport failed", "transport", transport, "error", err)
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
func (r *run) negotiateAgain(ctx context.Context, t, start target) (target, error) {
	next, _, err := r.negotiate(ctx, t)
	if statusOf(err) == http.StatusUnauthorized && !t.cred.renewable {
		next, _, err = r.negotiate(ctx, start)
	}
	return next, err
}

// credentials returns the application's credentials.
func (r *run) credentials() credentials {
	return credentials{token: r.conn.options.AccessToken, renewable: r.conn.options.AccessToken != nil}
}

func (r *run) connectDirectly(ctx context.Context, t target) (*session, error) {
	if !slices.Contains(r.conn.options.Transports, WebSockets) {
		return nil, fmt.Errorf("client: negotiation can only be skipped for %s", WebSockets)
	}
	s, err := r.open(ctx, t, WebSockets, true)
	if err != nil {
		return nil, &TransportError{Transport: WebSockets, Err: err}
	}
	return s, nil
}

func (r *run) negotiate(ctx context.Context, t target) (target, []signalr.Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.conn.options.RequestTimeout)
	defer cancel()
	return r.conn.network.negotiate(ctx, t, r.conn.options.StatefulReconnect)
}

// usable returns the transports to try, and the reasons against the others.
func (r *run) usable(offered []signalr.Offer) (usable []Transport, reasons []error) {
	format := "Text"
	if r.conn.options.Protocol.Binary() {
		format = "Binary"
	}
	for _, o := range offered {
		switch {
		case o.Transport != WebSockets && o.Transport != ServerSentEvents && o.Transport != LongPolling:
			continue // a transport that this version does not know
		case !slices.Contains(r.conn.options.Transports, o.Transport):
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
func (r *run) open(ctx context.Context, t target, transport Transport, last bool) (*session, error) {
	limit := min(r.conn.options.TransportTimeout, r.conn.options.HandshakeTimeout)
	if last {
		limit = r.conn.options.HandshakeTimeout
	}
	carrier, err := r.openCarrier(ctx, t, transport, limit)
	if err != nil {
		return nil, err
	}
	s := r.newSession(carrier, transport, t)
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

func (r *run) openCarrier(ctx context.Context, t target, transport Transport, limit time.Duration) (carrier, error) {
	opening, cancel := context.WithTimeoutCause(ctx, limit, errNoAnswer)
	defer cancel()
	var opened carrier
	var err error
	switch transport {
	case WebSockets:
		opened, err = openWebSocket(opening, r.conn.network, t, r.conn.options.Protocol.Binary())
	case ServerSentEvents:
		opened, err = openEventStream(opening, r.conn.network, t, r.conn.options)
	default:
		opened, err = openLongPolling(opening, r.conn.network, t, r.conn.options, r.refreshFor(t))
	}
	if err != nil && opening.Err() != nil {
		return nil, context.Cause(opening)
	}
	return opened, err
}

// refreshFor returns the function that refreshes the authentication when the server requires it for
// a poll of t. It returns nil if the client does not refresh automatically.
func (r *run) refreshFor(t target) func(context.Context) error {
	if !r.conn.options.refreshesItself() {
		return nil
	}
	return func(ctx context.Context) error {
		_, err := r.refresh(ctx, t)
		return err
	}
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
