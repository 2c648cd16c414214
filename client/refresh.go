package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// refreshAhead is how long before its end an authentication is refreshed, as the .NET client has it;
	// one that does not last longer than that is refreshed after half of its time.
	refreshAhead = 5 * time.Minute
	// minRefreshPause is the shortest time between two automatic refreshes, and the first pause behind one
	// that failed; pauses double up to refreshMost.
	minRefreshPause = time.Second / 2
	maxRefreshPause = 30 * time.Second
)

// connectionTokenHeader names the connection that a refresh is for.
const connectionTokenHeader = "X-SignalR-Connection-Token"

// errNotNegotiated is the error of a refresh where the client does not know the connection's token.
var errNotNegotiated = errors.New("client: authentication cannot be refreshed, since negotiation was skipped")

// refreshed is the outcome of a refresh, for the callbacks.
type refreshed struct {
	lifetime time.Duration
	err      error
}

// RefreshAuthentication gives the server a fresh token of Options.AccessToken for the connection, by
// one request, or by two if the first is answered 401. It returns how long the server lets the new one
// last, 0 if it does not say; then no automatic refresh follows. A refusal, which is an *HTTPError,
// leaves the connection as it is. The callbacks of OnAuthenticationRefreshed or of
// OnAuthenticationRefreshFailed run as after an automatic refresh.
func (c *HubConnection) RefreshAuthentication(ctx context.Context) (time.Duration, error) {
	s, err := c.connected()
	if err != nil {
		return 0, err
	}
	if s.target.token == "" {
		return 0, errNotNegotiated
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(lostCallError(context.Cause(s.ctx))) })()
	good, err := s.run.connector().refresh(ctx, s.target)
	switch {
	case err == nil:
		return max(good, 0), nil
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	}
	s.run.notifyRefreshed(refreshed{err: err})
	return 0, err
}

// OnAuthenticationRefreshed adds a callback for refreshes that succeeded. Callbacks run like handlers,
// one at a time and in order with them; a refresh is not told while 64 changes wait for theirs.
// lifetime is how long the server lets the authentication last from the answer on, 0 if it does not
// say.
func (c *HubConnection) OnAuthenticationRefreshed(f func(ctx context.Context, lifetime time.Duration)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onRefreshed = append(c.onRefreshed, f)
}

// OnAuthenticationRefreshFailed adds a callback for refreshes that failed: the server refused one, or
// it could not be reached while the authentication lasted. Automatic refreshes end with it. The
// connection goes on until the server ends it. Callbacks run as those of OnAuthenticationRefreshed.
func (c *HubConnection) OnAuthenticationRefreshFailed(f func(ctx context.Context, err error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onRefreshFailed = append(c.onRefreshFailed, f)
}

func (r *run) notifyRefreshed(outcome refreshed) {
	if !r.jobs.pushBelow(job{refreshed: &outcome}, maxChanges) {
		r.conn.options.Logger.DebugContext(r.ctx, "a refresh of authentication is not told: too many callbacks wait")
	}
}

// refreshObservers makes the turn of a refresh.
func (r *run) refreshObservers(outcome refreshed) *turn {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	t := &turn{finish: func() {}}
	add := func(f func()) {
		t.left = append(t.left, func() { r.observe("refresh", f) })
	}
	if outcome.err == nil {
		for _, f := range r.conn.onRefreshed {
			add(func() { f(r.ctx, max(outcome.lifetime, 0)) })
		}
		return t
	}
	for _, f := range r.conn.onRefreshFailed {
		add(func() { f(r.ctx, outcome.err) })
	}
	return t
}

// refreshesItself reports whether the client refreshes without being asked to.
func (o *Options) refreshesItself() bool { return o.AccessToken != nil && !o.DisableAutoRefresh }

// refreshBeforeEnd refreshes authentication before each of its ends, as long as the session lasts.
func (s *session) refreshBeforeEnd() {
	left := max(time.Until(s.target.expires), 0)
	for {
		var due <-chan time.Time
		if left >= 0 {
			due = time.After(max(left-aheadOf(left), minRefreshPause))
		}
		end := time.Now().Add(left)
		select {
		case left = <-s.target.renewed:
		case <-due:
			left = unlimited // until it is renewed
			s.refreshUntil(end)
		case <-s.ctx.Done():
			return
		}
	}
}

func aheadOf(lifetime time.Duration) time.Duration {
	if lifetime > refreshAhead {
		return refreshAhead
	}
	return lifetime / 2
}

// refreshUntil refreshes once. It tries again after a failure that may pass, until end.
func (s *session) refreshUntil(end time.Time) {
	ctx, cancel := context.WithDeadline(s.ctx, end)
	defer cancel()
	var err error
	for pause := minRefreshPause; ; pause = min(2*pause, maxRefreshPause) {
		if _, err = s.run.connector().refresh(ctx, s.target); err == nil || isRefusedRefresh(err) {
			break
		}
		wait := max(jitter(pause), retryAfter(err))
		if time.Until(end) <= wait || sleep(ctx, wait) != nil {
			break
		}
	}
	if err == nil || s.ctx.Err() != nil {
		return
	}
	s.options.Logger.WarnContext(s.ctx, "authentication is not refreshed", "error", err)
	s.run.notifyRefreshed(refreshed{err: err})
}

// isRefusedRefresh reports whether another attempt would fail as well.
func isRefusedRefresh(err error) bool {
	answer := new(HTTPError)
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return answer.StatusCode < http.StatusInternalServerError
}

// unlimited is the lifetime of an authentication without an end.
const unlimited time.Duration = -1

// refresh gives the server a fresh token for the connection of t. It goes to where the connection
// began and not to where negotiation was redirected to: the application's tokens are known there. An
// access token in the answer is for the second place.
func (c *connector) refresh(ctx context.Context, t target) (good time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.RequestTimeout)
	defer cancel()
	q := request{op: "refresh", method: http.MethodPost, url: below(c.hub, "refresh").String(), connection: t.token, repeatable: true}
	response, err := c.network.do(ctx, c.credentials(), q)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, failure("refresh", response)
	}
	defer response.Body.Close()
	var answer struct {
		TokenLifetimeSeconds *int64
		AccessToken          string
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxNegotiation)).Decode(&answer); err != nil {
		return 0, fmt.Errorf("client: refresh: %w", err)
	}
	if t.issued != nil && answer.AccessToken != "" {
		t.issued.Store(&answer.AccessToken)
	}
	good = unlimited
	if answer.TokenLifetimeSeconds != nil {
		good = lifetime(*answer.TokenLifetimeSeconds)
	}
	t.renew(good)
	c.onRefreshed(refreshed{lifetime: good})
	return good, nil
}

// refreshIsRequired reports whether a poll was answered that it needs a refresh first. Polls are
// answered 409 for other reasons, too.
func refreshIsRequired(err error) bool {
	answer := new(HTTPError)
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusConflict {
		return false
	}
	var body struct{ Error string }
	return json.Unmarshal([]byte(answer.Body), &body) == nil && body.Error == "authentication_refresh_required"
}
