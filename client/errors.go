package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

var (
	// ErrNotConnected is the error of a call without a connection: before Start, while
	// reconnecting, after the end. The call was not sent.
	ErrNotConnected = errors.New("client: not connected")
	// ErrConnectionLost is the error of calls without an answer when the connection ends. The error
	// of such a call also wraps the cause. The server may have handled the call.
	ErrConnectionLost = errors.New("client: connection ended before the answer came")
	// ErrAlreadyStarted is the error of Start and Run while the connection is not Disconnected.
	ErrAlreadyStarted = errors.New("client: already started")
	// ErrStopped is the cause of an end by Stop.
	ErrStopped = errors.New("client: stopped")
	// ErrServerTimeout is the cause of an end after silence of the server: see
	// Options.ServerTimeout.
	ErrServerTimeout = errors.New("client: server timeout elapsed without a message from the server")
	// ErrNoTransport is the error of a start if the server offers no transport that the client may
	// use.
	ErrNoTransport = errors.New("client: none of the transports supported by the client are supported by the server")
	// ErrTooManyRedirects is the error of a negotiation with too many redirects.
	ErrTooManyRedirects = errors.New("client: negotiate redirection limit exceeded")
)

// errEnded means that the server ended the transport in order, without a close message.
var errEnded = errors.New("client: the server ended the connection")

// HubError is the server's error for a call.
type HubError struct {
	// Message is the server's text.
	Message string
}

func (e *HubError) Error() string { return e.Message }

// Text returns the text of the exception that Message describes, or Message if it describes none.
// fromHub reports whether the hub's method has failed with a HubException (hub.NewError in
// Carillon). Its text is meant for clients. Servers describe other exceptions only with detailed
// errors. A type derived from HubException looks like another exception. fromHub is false for a call
// that did not reach its method, because the method does not exist for example, except that a wrong
// number of uploads looks like an error of the method.
func (e *HubError) Text() (text string, fromHub bool) { return exceptionText(e.Message) }

// CloseError means that the server closed the connection with a close message.
type CloseError struct {
	// Message is the server's error; empty if there was none.
	Message string
	// AllowReconnect is the server's permission to reconnect.
	AllowReconnect bool
}

func (e *CloseError) Error() string {
	if e.Message == "" {
		return "client: the server closed the connection"
	}
	return "client: the server closed the connection with the following error: " + e.Message
}

// Text returns the text of the exception that Message describes, or Message, as the method Text of
// HubError does. fromHub reports whether the hub has ended the connection with a HubException, in
// OnConnected for example.
func (e *CloseError) Text() (text string, fromHub bool) { return exceptionText(e.Message) }

// exceptionText returns the text of the exception that a server's error describes, and whether code
// of the hub threw it as a HubException. If the error describes no exception, text is the error.
func exceptionText(message string) (text string, fromHub bool) {
	for _, general := range []struct {
		begin, end string
		fromHub    bool
	}{
		{"An unexpected error occurred invoking '", "' on the server. ", true},
		{"An error occurred on the server while streaming results. ", "", true},
		{"Connection closed with an error. ", "", true},
		{"Failed to invoke '", "' due to an error on the server. ", false},
	} {
		if rest, ok := strings.CutPrefix(message, general.begin); ok {
			_, exception, _ := strings.Cut(rest, general.end)
			if name, text, ok := strings.Cut(exception, ": "); ok {
				return text, general.fromHub && name == "HubException"
			}
		}
	}
	return message, false
}

// HandshakeError is the server's refusal of the SignalR handshake.
type HandshakeError struct {
	// Message is the server's text.
	Message string
}

func (e *HandshakeError) Error() string {
	return "client: unable to complete handshake with the server due to an error: " + e.Message
}

// NegotiateError is an invalid answer to the negotiation: the text of the server's error field, or
// a description of the defect.
type NegotiateError struct {
	Message string
}

func (e *NegotiateError) Error() string {
	return "client: failed to complete negotiation with the server: " + e.Message
}

// HTTPError is a response with a status that means failure.
type HTTPError struct {
	// Op is the failed request: "negotiate", "WebSocket handshake", "event stream", "poll", "send",
	// "delete", "refresh".
	Op string
	// StatusCode is the status of the response.
	StatusCode int
	// Body is the beginning of the response's text, at most 256 bytes. It may be empty.
	Body string
	// Reason states why the server refused the token, if the status is 401 and the header
	// WWW-Authenticate has an error_description: its first 256 bytes. Otherwise it is empty.
	Reason string
	// RetryAfter is the delay that the response asks for, or 0. The connection waits that long, at
	// most 5 minutes, before it connects again.
	RetryAfter time.Duration
}

func (e *HTTPError) Error() string {
	text := strings.TrimSpace(e.Body)
	if text == "" {
		text = http.StatusText(e.StatusCode)
	}
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return fmt.Sprintf("client: %s: %s: status code '%d'", e.Op, text, e.StatusCode)
}

// statusOf returns the status of a response that means failure, or 0 for any other error.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*HTTPError](err); ok {
		return answer.StatusCode
	}
	return 0
}

// TransportError is the failure of a transport to connect.
type TransportError struct {
	Transport Transport
	Err       error
}

func (e *TransportError) Error() string {
	return fmt.Sprintf("%s failed: %s", e.Transport, strings.TrimPrefix(e.Err.Error(), "client: "))
}

func (e *TransportError) Unwrap() error { return e.Err }

// connectError holds the errors of all transports. errors.Is and errors.As examine each of them.
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
