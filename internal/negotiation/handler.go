package negotiation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// Options configure a Handler.
type Options struct {
	// Transports are the allowed transports, in the order in which clients are offered them.
	// Default: all.
	Transports []transports.Type
	// Policy changes the offer of each request. Default: none.
	Policy negotiate.Policy
	// MinimumVersion is the lowest accepted version of negotiation. Default 0.
	MinimumVersion int
	// TokenLifetime adds the remaining lifetime of the client's credentials to the answer, so
	// that the client refreshes them in time. Default false.
	TokenLifetime bool
	// Redirect, if ok is true, sends a client to another endpoint: it negotiates again at
	// url, with accessToken if that is not empty. Default: none.
	Redirect func(r *http.Request) (url, accessToken string, ok bool)
}

// Handler answers negotiations and promises connections of a registry. Safe for concurrent
// use.
type Handler struct {
	registry *connection.Registry
	options  Options
	stateful bool
}

// NewHandler returns a handler that promises connections of r. stateful allows stateful
// reconnect.
func NewHandler(r *connection.Registry, stateful bool, o Options) *Handler {
	if o.Transports == nil {
		o.Transports = signalr.Transports()
	}
	return &Handler{registry: r, stateful: stateful, options: o}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !fold.Equal(r.Method, http.MethodPost) { // ASP.NET Core ignores the case of methods
		connection.NotAllowed(w, r)
		return
	}
	if h.registry.RefuseLongHead(w, r) {
		return
	}
	n, ok := version(r)
	switch {
	case !ok:
		answer(w, refusal{"The client requested a non-integer protocol version."})
		return
	case n < h.options.MinimumVersion:
		answer(w, refusal{fmt.Sprintf("The client requested version '%d', but the server does not support this version.", n)})
		return
	}
	if h.options.Redirect != nil {
		if url, token, ok := h.options.Redirect(r); ok {
			answer(w, redirect{url, token})
			return
		}
	}
	h.connect(w, r, min(n, Version))
}

// connect negotiates in three steps: the limits admit the client, the policy decides about the
// offer, and the registry promises a connection with the terms of that offer.
func (h *Handler) connect(w http.ResponseWriter, r *http.Request, version int) {
	n, err := h.registry.Admit(r)
	if err != nil {
		connection.RefuseNew(w, err)
		return
	}
	answered := false
	defer func() {
		if !answered { // no promise, or the policy or a middleware's writer panicked
			h.registry.Withdraw(n)
		}
	}()
	offer := h.offer(r)
	terms := connection.Terms{HasToken: version > 0, Observer: offer.Observer, SilenceLimit: offer.SilenceLimit}
	if h.stateful {
		terms.Stateful = wantsStateful(r)
	}
	if err := h.registry.Promise(n, terms); err != nil {
		connection.RefuseNew(w, err)
		return
	}
	connection.StoreName(r, n.LogName)
	if offer.Reason != "" {
		w.Header().Set("Carillon-Transport-Reason", offer.Reason)
	}
	h.writeOffer(w, n, version, offer.Transports, terms.Stateful)
	answered = true
}

// writeOffer answers with a promised connection.
func (h *Handler) writeOffer(w http.ResponseWriter, n *connection.Negotiation, version int, offered, stateful []transports.Type) {
	answer := response{Negotiation: signalr.Negotiation{
		UseStatefulReconnect: len(stateful) > 0,
		NegotiateVersion:     version,
		ConnectionID:         n.ID(),
		AvailableTransports:  make([]signalr.Offer, 0, 3),
	}}
	if version > 0 {
		var sealed bool
		if answer.ConnectionToken, sealed = h.registry.Seal(n); !sealed {
			answer.ConnectionToken = n.Token()
		}
	}
	if h.options.TokenLifetime {
		answer.TokenLifetimeSeconds, answer.hasLifetime = n.User().Lifetime()
	}
	if len(stateful) > 1 {
		answer.StatefulTransports = stateful
	}
	for _, t := range offered {
		answer.AvailableTransports = append(answer.AvailableTransports, signalr.Offer{Transport: t, TransferFormats: t.Formats()})
	}
	b := bodies.Get().(*[]byte)
	defer bodies.Put(b)
	*b = answer.append((*b)[:0])
	write(w, *b)
}

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// offer returns the offer of a request: the allowed transports, changed by the policy.
func (h *Handler) offer(r *http.Request) negotiate.Offer {
	if h.options.Policy == nil {
		return negotiate.Offer{Transports: h.options.Transports}
	}
	o := negotiate.Offer{Transports: slices.Clone(h.options.Transports)}
	h.options.Policy.Offer(r, &o)
	return o
}

// Refuse answers a negotiation with an error that the client reports to its user.
func Refuse(w http.ResponseWriter, reason string) { answer(w, refusal{reason}) }

var contentType = []string{"application/json"}

func answer(w http.ResponseWriter, response any) {
	body, err := json.Marshal(response)
	if err != nil { // cannot happen: strings and numbers always marshal
		connection.Empty(w, http.StatusInternalServerError)
		return
	}
	write(w, body)
}

// short is a length of answers up to which net/http sets Content-Length by itself, which
// costs less.
const short = 1 << 10

// write writes an answer with its Content-Length, as ASP.NET Core does.
func write(w http.ResponseWriter, body []byte) {
	header := w.Header()
	header["Content-Type"] = contentType
	if len(body) > short {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	_, _ = w.Write(body)
}
