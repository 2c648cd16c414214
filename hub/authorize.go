package hub

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/guard"
)

// Authorize makes a registered method require policies, in addition to those that it
// requires already: see [Method.Authorize]. It panics, with the place of the call, if
// there is no method with this name, if a policy is nil, and after the first connection.
func (h *Hub) Authorize(method string, policies ...auth.Policy) {
	place := h.registering()
	m := h.method(method)
	if m == nil {
		panic(fmt.Sprintf("hub: %s: there is no method %q", place, method))
	}
	m.Method = m.Authorize(policies...)
}

// AuthorizeRequests passes requests with users that Options.Authorize allows. It answers
// others as [auth.Require] does: 401 without a user, 403 otherwise. Endpoints call it.
func (h *Hub) AuthorizeRequests(next http.Handler) http.Handler {
	for _, p := range slices.Backward(h.options.Authorize) {
		next = auth.Require(p, next)
	}
	return next
}

// checkPolicies panics if a policy is nil.
func checkPolicies(policies []auth.Policy) {
	if slices.ContainsFunc(policies, func(p auth.Policy) bool { return p == nil }) {
		panic(fmt.Sprintf("hub: %s: a policy is nil", registrant()))
	}
}

// authorize checks Options.Authorize for a session, and logs a refusal, unless they have been
// checked for the session's requests.
func (h *Hub) authorize(s *Session) (err error) {
	if len(h.options.Authorize) == 0 || s.caller.info.Authorized {
		return nil
	}
	defer func() {
		if err != nil {
			k := floodgate.Kind{Level: slog.LevelWarn, Event: "authentication refused", Key: "reason", Value: "the policy refuses the user", Burst: errorBurst}
			s.log().limited(k, slog.String("error", clip(errorText(err))))
		}
	}()
	defer guard.Recover(&err)
	return auth.Authorize(s.ctx, s.caller.User(), h.options.Authorize...)
}

// unauthorized returns the reason why the caller may not call the method, or nil.
func (c *call) unauthorized() error {
	if c.method.authorize == nil {
		return nil
	}
	return auth.Authorize(c, c.session.caller.User(), c.method.authorize...)
}

// refuse completes the invocation with an error because of its client. If the method is
// not authorized, reason says why. Then filters see the invocation, but cannot change its
// end.
func (c *call) refuse(text string, reason error) {
	if reason == nil {
		c.logRefusal(text)
	} else {
		c.logRefusal(text, slog.String("error", clip(errorText(reason))))
		c.showFilters(reason)
	}
	c.fail(text)
}

func (c *call) showFilters(reason error) {
	if !c.session.hub.hasInvokeFilter {
		return
	}
	_, err := c.perform(reason)
	if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // see logger.failure
		c.logFailure(p)
	}
}
