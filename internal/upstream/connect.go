package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/internal/limit"
)

const (
	maxDecision  = 16 << 10
	maxGroups    = 100
	maxGroupName = 1024
	// callsPerSecond and callsBurst limit the calls for one public address. They are those of
	// negotiations.
	callsPerSecond = 100
	callsBurst     = 10 * time.Second
	// waitingPerCall is the number of requests that may wait for each call that runs. Further
	// ones are refused at once: strangers make them.
	waitingPerCall = 8
)

// callLimits are the limits of the calls by address.
type callLimits struct {
	begun  time.Time
	asking atomic.Int64 // requests that wait or are asked about
	mu     sync.Mutex
	limit  limit.Addresses
}

func (c *callLimits) allow(r *http.Request) bool {
	address := httpreq.Network(r)
	if !limit.IsPublic(address) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit.Allow(address, callsPerSecond, callsBurst, time.Since(c.begun))
}

// question is the body of a call.
type question struct {
	Hub       string              `json:"hub"`
	Query     map[string][]string `json:"query"`
	Headers   map[string][]string `json:"headers"` // by their names in lower case
	Cookies   map[string][]string `json:"cookies"`
	Address   string              `json:"address,omitempty"`
	Transport string              `json:"transport,omitempty"` // not known at a negotiation
}

// decision is the body of an answer with the status 200.
type decision struct {
	UserID string         `json:"userId"`
	Groups []string       `json:"groups"`
	Claims map[string]any `json:"claims"`
}

// Authenticator returns the authenticator that asks the backend, or nil without Settings.Connect.
// It is asked at a negotiation, and at a WebSocket or an event stream that opens a connection
// without one; it refuses other requests. So the endpoint must issue tickets, which carry the
// decision (endpoint.Options.TicketLifetime), and it checks the origin first.
func (u *Upstream) Authenticator() auth.Authenticator {
	if u.plan.Load().connect == nil {
		return nil
	}
	return auth.Func(u.authenticate)
}

var errNoTicket = &auth.TokenError{Reason: "The ticket is missing"}

func (u *Upstream) authenticate(r *http.Request) (*auth.User, error) {
	transport, opens := opening(r)
	switch {
	case !opens:
		return nil, errNoTicket
	case r.Header.Get(hubHeader) != "": // the backend is this hub, perhaps behind others
		return nil, &auth.StatusError{Status: http.StatusLoopDetected, Err: errors.New("the request is a webhook, not a client's")}
	case !u.calls.allow(r):
		return nil, &auth.StatusError{Status: http.StatusTooManyRequests, Err: errors.New("the address connects too often")}
	}
	begun, p := time.Now(), u.plan.Load()
	ctx, cancel := context.WithTimeout(r.Context(), p.connect.timeout)
	defer cancel()
	user, err := u.ask(ctx, p, r, transport)
	outcome := result(ctx, err)
	u.meter.Requested("connect", outcome, time.Since(begun))
	if err == nil {
		return user, nil
	}
	if outcome != "canceled" {
		u.log("connect", p.connect.url.Host, err)
	}
	status, ok := errors.AsType[*statusError](err)
	switch {
	case ok && status.code == http.StatusUnauthorized:
		return nil, errors.New("the backend refuses the client")
	case ok && status.code == http.StatusForbidden:
		return nil, &auth.StatusError{Status: http.StatusForbidden, Err: errors.New("the backend refuses the client")}
	}
	return nil, &auth.StatusError{Status: http.StatusServiceUnavailable, Err: errors.New("the backend does not decide")}
}

// opening reports whether a request opens a connection or negotiates, and returns the transport
// if it is known.
func opening(r *http.Request) (transport string, opens bool) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch _, ids := httpreq.Parameter(r, "id"); {
	case fold.Equal(r.Method, http.MethodPost):
		return "", fold.Equal(last, "negotiate")
	case !fold.Equal(r.Method, http.MethodGet) || ids > 0:
		return "", false
	case r.Header.Get("Sec-WebSocket-Key") != "":
		return "WebSockets", true
	}
	return "ServerSentEvents", fold.Equal(last, "events")
}

// ask calls the backend and returns its decision as a user.
func (u *Upstream) ask(ctx context.Context, p *plan, r *http.Request, transport string) (*auth.User, error) {
	body, err := json.Marshal(p.connect.question(u.name, r, transport))
	if err != nil {
		return nil, err
	}
	defer u.calls.asking.Add(-1)
	if u.calls.asking.Add(1) > int64((1+waitingPerCall)*cap(p.calls)) {
		return nil, errBusy
	}
	free, err := u.take(ctx, p.calls)
	if err != nil {
		return nil, err
	}
	defer free()
	header := http.Header{
		"Content-Type": {contentJSON}, hubHeader: {escapeHeader(u.name)}, "X-ASRS-Category": {connections}, "X-ASRS-Event": {"connect"},
	}
	sign(header, u.keys(), newID(), time.Now(), body)
	a, err := u.post(ctx, p.connect.url, header, body, maxDecision)
	if err != nil {
		return nil, err
	}
	return a.decision()
}

func (c *connectRoute) question(hubName string, r *http.Request, transport string) *question {
	q := &question{
		Hub: hubName, Transport: transport, Query: map[string][]string{}, Headers: map[string][]string{}, Cookies: map[string][]string{},
	}
	if address := httpreq.Address(r); address.IsValid() {
		q.Address = address.String()
	}
	for name, values := range r.URL.Query() {
		if !httpreq.IsSecret(name) {
			q.Query[name] = values
		}
	}
	for _, name := range c.headers {
		values := r.Header[name]
		if name == "Host" {
			values = []string{r.Host}
		}
		if len(values) > 0 {
			q.Headers[strings.ToLower(name)] = values
		}
	}
	for _, name := range c.cookies {
		for _, cookie := range r.CookiesNamed(name) {
			q.Cookies[name] = append(q.Cookies[name], cookie.Value)
		}
	}
	return q
}

var errDecision = fmt.Errorf("%w: the decision", errAnswer)

// decision parses the answer to a call. An empty answer allows an anonymous client.
func (a *answer) decision() (*auth.User, error) {
	if len(a.body) == 0 {
		return &auth.User{}, nil
	}
	var d decision
	in := json.NewDecoder(bytes.NewReader(a.body))
	in.DisallowUnknownFields() // a misspelled userId must not make an anonymous user
	switch err := in.Decode(&d); {
	case err != nil:
		return nil, fmt.Errorf("%w is not valid: %w", errDecision, err)
	case !isEnd(in):
		return nil, fmt.Errorf("%w is followed by more", errDecision)
	case len(escapeHeader(d.UserID)) > maxName:
		return nil, fmt.Errorf("%w: %w", errDecision, errLongUser)
	case len(d.Groups) > maxGroups:
		return nil, fmt.Errorf("%w has more than %d groups", errDecision, maxGroups)
	}
	delete(d.Claims, hosting.GroupsClaim)
	for _, group := range d.Groups {
		if group == "" || len(group) > maxGroupName {
			return nil, fmt.Errorf("%w has a group without a name, or with more than %d bytes", errDecision, maxGroupName)
		}
	}
	if len(d.Groups) > 0 {
		if d.Claims == nil {
			d.Claims = map[string]any{}
		}
		d.Claims[hosting.GroupsClaim] = d.Groups
	}
	return &auth.User{ID: d.UserID, Claims: d.Claims}, nil
}

func isEnd(in *json.Decoder) bool {
	_, err := in.Token()
	return errors.Is(err, io.EOF)
}

// groupsOf returns the groups of the decision that a user came by.
func groupsOf(user *auth.User) []string {
	if user == nil {
		return nil
	}
	return claimValues(user.Claims[hosting.GroupsClaim]) // []any if another process has decided
}
