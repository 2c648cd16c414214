package connection

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/transports"
)

// Carry serves a request that opens or continues a connection over one transport.
type Carry func(w http.ResponseWriter, r *http.Request, c *Connection)

// Handler serves the path of an endpoint except negotiation: GET opens the transport that the
// request selects, POST sends, DELETE ends a long-polling connection. Status codes, headers
// and texts are those of ASP.NET Core.
type Handler struct {
	registry *Registry
	carriers map[transports.Type]Carry
	admits   func(r *http.Request, negotiated string) bool
}

// NewHandler returns a handler for r's connections. It allows the transports in carriers.
func NewHandler(r *Registry, carriers map[transports.Type]Carry) *Handler {
	return &Handler{registry: r, carriers: carriers}
}

// CheckOrigins refuses WebSocket handshakes that admits refuses. negotiated is the origin of
// the handshake's connection, see Connection.Origin, or "" if it has no connection. CheckOrigins
// must be called before the first request. By default all handshakes are accepted.
func (h *Handler) CheckOrigins(admits func(r *http.Request, negotiated string) bool) {
	h.admits = admits
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.serve(w, r, Unavailable, h.route)
}

// serve serves a request by next, and refuses it by stopped after Shutdown.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, stopped func(http.ResponseWriter), next http.HandlerFunc) {
	if !h.registry.work.enter() {
		stopped(w)
		return
	}
	defer h.registry.work.running.Done()
	if !h.registry.RefuseLongHead(w, r) {
		next(w, r)
	}
}

// route serves a request by its method.
func (h *Handler) route(w http.ResponseWriter, r *http.Request) {
	if isExtendedConnect(r) {
		Empty(w, http.StatusNotImplemented)
		return
	}
	switch strings.ToUpper(r.Method) { // ASP.NET Core ignores the case of methods
	case http.MethodGet, http.MethodConnect:
		h.get(w, r)
	case http.MethodPost:
		if c, ok := h.resolve(w, r, Token(r), false); ok {
			h.post(w, r, c)
		}
	case http.MethodDelete:
		if c, ok := h.resolve(w, r, Token(r), false); ok {
			h.delete(w, r, c)
		}
	default:
		NotAllowed(w, r)
	}
}

// resolve returns the connection with the token of a request, or nil if there is none. opens
// reports that the request may open the connection. If ok is false, resolve has answered the
// request, or another process has.
func (h *Handler) resolve(w http.ResponseWriter, r *http.Request, token string, opens bool) (c *Connection, ok bool) {
	c, forward, err := h.registry.resolve(r, token, opens)
	switch {
	case errors.Is(err, ErrTooMany), errors.Is(err, ErrFull), errors.Is(err, ErrExpired), errors.Is(err, ErrStopped):
		RefuseNew(w, err)
		return nil, false
	case forward != nil:
		if fold.Equal(r.Method, http.MethodPost) { // a GET calls LetWait
			defer h.letApplicationWait(w, r)()
		}
		return nil, forward(w, r) != nil
	}
	return c, true
}

// isExtendedConnect reports whether a request wants to make its HTTP/2 stream a WebSocket, or a tunnel of
// another kind (RFC 8441), which is not served. net/http hands on such requests only with
// GODEBUG=http2xconnect=1.
func isExtendedConnect(r *http.Request) bool {
	return r.Method == http.MethodConnect && len(r.Header[":protocol"]) > 0
}

// NotAllowed answers a method that is not served. The answer to HEAD has no Content-Length.
func NotAllowed(w http.ResponseWriter, r *http.Request) {
	if fold.Equal(r.Method, http.MethodHead) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	Empty(w, http.StatusMethodNotAllowed)
}

// Text answers with a text as ASP.NET Core does: without charset and Content-Length.
func Text(w http.ResponseWriter, status int, body string) {
	text(w, status, plainText, body)
}

func text(w http.ResponseWriter, status int, contentType []string, body string) {
	w.Header()["Content-Type"] = contentType
	w.Header().Set("Transfer-Encoding", "chunked")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// Values of common headers. They are shared and must not be changed.
var (
	plainText   = []string{"text/plain"}
	noLength    = []string{"0"}
	noCache     = []string{"no-cache, no-store"}
	pragma      = []string{"no-cache"}
	longExpired = []string{"Thu, 01 Jan 1970 00:00:00 GMT"}
)

// Empty answers without a body.
func Empty(w http.ResponseWriter, status int) {
	header := w.Header()
	header["Content-Type"] = plainText
	if status != http.StatusNoContent {
		header["Content-Length"] = noLength
	}
	w.WriteHeader(status)
}

// NoCache sets the headers of every answer to a poll.
func NoCache(h http.Header) {
	h["Cache-Control"], h["Pragma"], h["Expires"] = noCache, pragma, longExpired
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request) {
	kind := choose(r)
	stripped := kind == transports.LongPolling && isStripped(r) // its connection remains unopened
	c, ok := h.resolve(w, r, Token(r), !stripped)
	if !ok {
		return
	}
	if !h.admitsOrigin(r, c) {
		h.registry.LogRefusedOrigin(r, c)
		Empty(w, http.StatusForbidden)
		return
	}
	if stripped && c != nil && h.stripped(w, r, c) {
		return
	}
	if kind == transports.LongPolling {
		NoCache(w.Header())
	}
	if c, ok = h.check(w, r, c, kind); !ok {
		return
	}
	if Token(r) == "" {
		defer c.endUnclaimed()
	}
	carry := h.carriers[kind]
	if carry == nil || c.refuses(kind) {
		NotSupported(w, kind)
		return
	}
	if kind == transports.LongPolling && h.refreshByPoll(w, r, c) {
		return
	}
	carry(w, r, c)
}

// admitsOrigin reports whether the page of a handshake for c, which may be nil, may open it.
func (h *Handler) admitsOrigin(r *http.Request, c *Connection) bool {
	return h.admits == nil || !IsHandshake(r) || h.admits(r, c.Origin())
}

// NotSupported answers a request for a transport that the endpoint does not have here.
func NotSupported(w http.ResponseWriter, kind transports.Type) {
	Text(w, http.StatusNotFound, string(kind)+" transport not supported by this end point type")
}

// choose returns the transport that a GET selects: an event stream if a whole element of
// Accept names it, or if a proxy removed such an Accept; otherwise a WebSocket if the request
// is a valid handshake; otherwise a poll.
func choose(r *http.Request) transports.Type {
	for _, line := range r.Header.Values("Accept") {
		for element := range strings.SplitSeq(line, ",") {
			if fold.Equal(strings.TrimSpace(element), "text/event-stream") {
				return transports.ServerSentEvents
			}
		}
	}
	switch {
	case IsHandshake(r):
		return transports.WebSockets
	case lostAccept(r):
		return transports.ServerSentEvents
	}
	return transports.LongPolling
}

// lostAccept reports whether r requested an event stream until a proxy removed its Accept. An
// EventSource always sends no-cache, and a poll of the official clients always sends
// X-Requested-With. ASP.NET Core answers such a request like a poll, which an EventSource in
// Node takes for its stream.
func lostAccept(r *http.Request) bool {
	return len(r.Header["Accept"]) == 0 && len(r.Header["X-Requested-With"]) == 0 &&
		hasToken(r.Header, "Cache-Control", "no-cache") && !wantsWebSocket(r)
}

// IsHandshake reports whether a request is a valid WebSocket handshake.
func IsHandshake(r *http.Request) bool { return wantsWebSocket(r) && isUpgrade(r) }

// isStripped reports whether r was a WebSocket handshake until a proxy removed one or both of
// its hop-by-hop headers.
func isStripped(r *http.Request) bool { return wantsWebSocket(r) && !isUpgrade(r) }

// wantsWebSocket uses the canonical spelling of http.Header, so that Get allocates nothing.
func wantsWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet &&
		r.Header.Get("Sec-Websocket-Version") == "13" && validKey(r.Header.Get("Sec-Websocket-Key"))
}

func isUpgrade(r *http.Request) bool {
	return hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
}

func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for element := range strings.SplitSeq(line, ",") {
			if fold.Equal(strings.TrimSpace(element), token) {
				return true
			}
		}
	}
	return false
}

// validKey reports whether key is 16 bytes in base64.
func validKey(key string) bool {
	if len(key) != 24 || !strings.HasSuffix(key, "==") {
		return false
	}
	for _, c := range []byte(key[:22]) {
		base64 := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
		if !base64 {
			return false
		}
	}
	return true
}

// Token returns the id in the query. The parameter's name ignores case. Several ids match no
// connection.
func Token(r *http.Request) string {
	id, _ := httpreq.Parameter(r, "id")
	return id
}

// check returns the connection that a request is for. c is the connection with the token of the
// request; a WebSocket without a token gets a new one. If ok is false, check has refused the
// request.
func (h *Handler) check(w http.ResponseWriter, r *http.Request, c *Connection, kind transports.Type) (_ *Connection, ok bool) {
	id := Token(r)
	if id == "" && kind == transports.WebSockets {
		if h.carriers[kind] == nil {
			NotSupported(w, kind)
			return nil, false
		}
		c, err := h.registry.Create(r, false)
		if err != nil {
			RefuseNew(w, err)
			return nil, false
		}
		StoreName(r, c.LogName)
		return c, true
	}
	if id == "" {
		Text(w, http.StatusBadRequest, "Connection ID required")
		return nil, false
	}
	if c != nil {
		StoreName(r, c.LogName)
	}
	if c != nil && c.awaitEndOfStream(r.Context()) {
		c = nil
	}
	if c == nil && kind == transports.WebSockets {
		text(w, http.StatusNotFound, nil, noConnection) // ASP.NET Core sends no Content-Type here
	} else if c == nil {
		Text(w, http.StatusNotFound, noConnection)
	} else if !c.authorizes(r) {
		h.refuseUser(w, r, c, kind)
		return nil, false
	}
	return c, c != nil
}

const noConnection = "No Connection with that ID"

// Unavailable answers a request that arrives while the server shuts down.
func Unavailable(w http.ResponseWriter) { comeBack(w, http.StatusServiceUnavailable) }

// comeBack answers a request that the client may repeat soon.
func comeBack(w http.ResponseWriter, status int) {
	w.Header().Set("Retry-After", "1")
	Empty(w, status)
}

// Refuse answers a request that Claim or Attach refused.
func Refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrOtherTransport):
		Text(w, http.StatusBadRequest, "Cannot change transports mid-connection")
	case errors.Is(err, ErrActive):
		Empty(w, http.StatusConflict)
	case errors.Is(err, errTicket):
		challenge(w, "The ticket is not valid")
	case errors.Is(err, ErrExpired):
		RefuseNew(w, err)
	case errors.Is(err, errHeads):
		Unavailable(w)
	default:
		Empty(w, http.StatusNotFound)
	}
}

// challenge answers 401 to a token that is not accepted.
func challenge(w http.ResponseWriter, reason string) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+reason+`"`)
	Empty(w, http.StatusUnauthorized)
}

func (h *Handler) post(w http.ResponseWriter, r *http.Request, c *Connection) {
	c, ok := h.check(w, r, c, "")
	if !ok {
		return
	}
	switch c.Transport() {
	case transports.WebSockets:
		Text(w, http.StatusMethodNotAllowed, "POST requests are not allowed for WebSocket connections.")
		return
	case "": // data for a transport that may never open is not kept
		w.Header()["Content-Length"] = noLength
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	posted(c)
	limit := h.letApplicationWait(w, r)
	err := readBody(w, r, c)
	limit()
	switch {
	case errors.Is(err, transports.ErrEnded), errors.Is(err, ErrActive):
		Refuse(w, err)
	case errors.Is(err, context.DeadlineExceeded): // nothing was taken
		Unavailable(w)
	case errors.Is(err, errBodyLate):
		Empty(w, http.StatusRequestTimeout)
	default:
		Empty(w, http.StatusOK)
	}
}

func (h *Handler) delete(w http.ResponseWriter, r *http.Request, c *Connection) {
	c, ok := h.check(w, r, c, "")
	if !ok {
		return
	}
	if c.Transport() != transports.LongPolling {
		Text(w, http.StatusBadRequest, "Cannot terminate this connection using the DELETE endpoint.")
		return
	}
	c.endByClient()
	Empty(w, http.StatusAccepted)
}

// WriteCause returns the cause with which a connection ends after a write has failed with
// err.
func WriteCause(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return transports.ErrSendTimeout
	}
	return transports.ErrCut
}
