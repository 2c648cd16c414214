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
	// refreshAhead is the time before its end at which an authentication is refreshed, as in the
	// .NET client. One that lasts at most that long is refreshed after half of its lifetime.
	refreshAhead = 5 * time.Minute
	// minRefreshPause is the shortest time between two automatic refreshes, and the first pause
	// after a failed one. Pauses double up to maxRefreshPause.
	minRefreshPause = time.Second / 2
	maxRefreshPause = 30 * time.Second
)

// connectionTokenHeader is the header with the token of the connection that is refreshed.
const connectionTokenHeader = "X-SignalR-Connection-Token"

// errNotNegotiated is the error of a refresh if the client does not know the connection's token.
var errNotNegotiated = errors.New("client: authentication cannot be refreshed, since negotiation was skipped")

// refreshed is the outcome of a refresh, for the callbacks.
type refreshed struct {
	lifetime time.Duration
	err      error
}

// RefreshAuthentication sends the server a fresh token of Options.AccessToken for the connection.
// It makes one request, or two if the first is answered 401. It returns the lifetime of the new
// authentication, or 0 if the server reports none; then no automatic refresh follows. A refusal is
// an *HTTPError and does not change the connection. The callbacks of OnAuthenticationRefreshed or
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
	good, err := s.run.refresh(ctx, s.target)
	switch {
	case err == nil:
		return max(good, 0), nil
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	}
	s.run.notifyRefreshed(refreshed{err: err})
	return 0, err
}

// OnAuthenticationRefreshed adds a callback for successful refreshes. Callbacks run like handlers,
// one at a time and in order with them. A refresh is not reported while 64 changes wait for their
// callbacks. lifetime is the lifetime of the authentication from the answer on, or 0 if the server
// reports none.
func (c *HubConnection) OnAuthenticationRefreshed(f func(ctx context.Context, lifetime time.Duration)) {
	add(c, &c.onRefreshed, f)
}

// OnAuthenticationRefreshFailed adds a callback for failed refreshes: the server refused one, or
// could not be reached while the authentication lasted. Automatic refreshes then end. The
// connection continues until the server ends it. Callbacks run like those of
// OnAuthenticationRefreshed.
func (c *HubConnection) OnAuthenticationRefreshFailed(f func(ctx context.Context, err error)) {
	add(c, &c.onRefreshFailed, f)
}

func (r *run) notifyRefreshed(outcome refreshed) {
	if !r.jobs.pushBelow(job{refreshed: &outcome}, maxChanges) {
		r.conn.options.Logger.DebugContext(r.ctx, "authentication refresh not reported", "reason", "too many callbacks are queued")
	}
}

// refreshObservers returns the turn of a refresh.
func (r *run) refreshObservers(outcome refreshed) *turn {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if outcome.err != nil {
		return newTurn(r, "refresh", r.conn.onRefreshFailed, func(f func(context.Context, error)) { f(r.ctx, outcome.err) })
	}
	return newTurn(r, "refresh", r.conn.onRefreshed, func(f func(context.Context, time.Duration)) { f(r.ctx, max(outcome.lifetime, 0)) })
}

// refreshesItself reports whether the client refreshes automatically.
func (o *Options) refreshesItself() bool { return o.AccessToken != nil && !o.DisableAutoRefresh }

// refreshBeforeEnd refreshes the authentication before each of its ends, as long as the session
// lasts.
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

// refreshUntil refreshes once. It repeats the refresh after a temporary failure, until end.
func (s *session) refreshUntil(end time.Time) {
	ctx, cancel := context.WithDeadline(s.ctx, end)
	defer cancel()
	var err error
	for pause := minRefreshPause; ; pause = min(2*pause, maxRefreshPause) {
		if _, err = s.run.refresh(ctx, s.target); err == nil || isRefusedRefresh(err) {
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
	s.options.Logger.WarnContext(s.ctx, "authentication not refreshed", "error", err)
	s.run.notifyRefreshed(refreshed{err: err})
}

// isRefusedRefresh reports whether another attempt would fail too.
func isRefusedRefresh(err error) bool {
	status := statusOf(err)
	return status != 0 && status < http.StatusInternalServerError &&
		status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// unlimited is the lifetime of an authentication without an end.
const unlimited time.Duration = -1

// refresh sends the server a fresh token for the connection of t. The request goes to the original
// URL and not to the target of a redirect, because the original server knows the application's
// tokens. An access token in the answer is for the target of the redirect.
func (r *run) refresh(ctx context.Context, t target) (good time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.conn.options.RequestTimeout)
	defer cancel()
	q := request{op: "refresh", method: http.MethodPost, url: below(r.conn.hub, "refresh").String(), connection: t.token, repeatable: true}
	response, err := r.conn.network.do(ctx, r.credentials(), q)
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
	r.notifyRefreshed(refreshed{lifetime: good})
	return good, nil
}

// refreshIsRequired reports whether the response to a poll requires a refresh. The status 409 has
// other reasons, too.
func refreshIsRequired(err error) bool {
	answer, ok := errors.AsType[*HTTPError](err)
	var body struct{ Error string }
	return ok && answer.StatusCode == http.StatusConflict &&
		json.Unmarshal([]byte(answer.Body), &body) == nil && body.Error == "authentication_refresh_required"
}
