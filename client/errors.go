package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

var (
	// ErrNotConnected is the error of a call while there is no connection: before Start, while
	// reconnecting, after the end. The call was not sent.
	ErrNotConnected = errors.New("client: not connected")
	// ErrConnectionLost is the error of calls that were in flight when the connection ended; the
	// error of such a call wraps the cause as well. Whether the server handled it is not known.
	ErrConnectionLost = errors.New("client: connection ended before the answer came")
	// ErrAlreadyStarted is the error of Start and Run while the connection is not Disconnected.
	ErrAlreadyStarted = errors.New("client: already started")
	// ErrStopped is the cause of what ends because Stop was called.
	ErrStopped = errors.New("client: stopped")
	// ErrServerTimeout is the cause of an end for silence: see Options.ServerTimeout.
	ErrServerTimeout = errors.New("client: server timeout elapsed without a message from the server")
	// ErrNoTransport is the error of a start where the server offers nothing that the client may use.
	ErrNoTransport = errors.New("client: none of the transports supported by the client are supported by the server")
	// ErrTooManyRedirects is the error of a negotiation that was sent on and on.
	ErrTooManyRedirects = errors.New("client: negotiate redirection limit exceeded")
)

// errEnded: the server ended the transport in order, without a close message.
var errEnded = errors.New("client: the server ended the connection")

// HubError is an error that the server answered a call with, in its own words.
type HubError struct {
	// Message as it came.
	Message string
}

func (e *HubError) Error() string { return e.Message }

// CloseError says that the server closed the connection by a close message.
type CloseError struct {
	// Message of the server; empty if it gave no error.
	Message string
	// AllowReconnect as the server said.
	AllowReconnect bool
}

func (e *CloseError) Error() string {
	if e.Message == "" {
		return "client: the server closed the connection"
	}
	return "client: the server closed the connection with the following error: " + e.Message
}

// HandshakeError is the server's refusal of the SignalR handshake.
type HandshakeError struct {
	// Message as it came.
	Message string
}

func (e *HandshakeError) Error() string {
	return "client: unable to complete handshake with the server due to an error: " + e.Message
}

// NegotiateError is an answer to negotiation that is no offer: what the server says in its error
// field, or what is wrong with the answer.
type NegotiateError struct {
	Message string
}

func (e *NegotiateError) Error() string {
	return "client: failed to complete negotiation with the server: " + e.Message
}

// HTTPError is an answer with a status that means failure.
type HTTPError struct {
	// Op says which request failed: "negotiate", "WebSocket handshake", "event stream", "poll",
	// "send", "delete", "refresh".
	Op string
	// StatusCode of the answer.
	StatusCode int
	// Body is the beginning of the answer's text, at most 256 bytes; it may be empty.
	Body string
	// RetryAfter is how long the answer asks to wait before the next request, 0 if it does not. The
	// connection waits so long, at most 5 minutes, before it connects again.
	RetryAfter time.Duration
}

func (e *HTTPError) Error() string {
	text := strings.TrimSpace(e.Body)
	if text == "" {
		text = http.StatusText(e.StatusCode)
	}
	return fmt.Sprintf("client: %s: %s: status code '%d'", e.Op, text, e.StatusCode)
}

// TransportError says why a transport did not connect.
type TransportError struct {
	Transport Transport
	Err       error
}

func (e *TransportError) Error() string {
	return fmt.Sprintf("%s failed: %s", e.Transport, strings.TrimPrefix(e.Err.Error(), "client: "))
}

func (e *TransportError) Unwrap() error { return e.Err }

// connectError collects what each transport died of. errors.Is and errors.As look into all.
type connectError struct{ failures []error }

func (e *connectError) Error() string {
	var b strings.Builder
	b.WriteString("client: unable to connect to the server with any of the available transports:")
	for _, f := range e.failures {
		b.WriteString(" " + f.Error() + ".")
	}
	return b.String()
}

func (e *connectError) Unwrap() []error { return e.failures }
