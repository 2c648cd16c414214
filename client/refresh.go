package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// refreshAhead is how long before an access token ends the server is given the next one, as the .NET
// client has it; of a token that is good for less than twice as long, half of its life.
const refreshAhead = 5 * time.Minute

// refreshLeast is below what it is not worth trying any more: servers count in seconds.
const refreshLeast = time.Second / 2

// refresh gives the server a fresh access token before the last one ends, again and again. What fails is
// tried again while there is time, unless the server has refused.
func (s *session) refresh() {
	var failure error
	for left := time.Until(s.target.expires); left >= refreshLeast && !isRefusal(failure); {
		ahead := min(refreshAhead, left/2)
		if sleep(s.ctx, left-ahead) != nil {
			return
		}
		left = ahead
		var lifetime time.Duration
		if lifetime, failure = s.run.connector().refresh(s.ctx, s.target.token); failure == nil {
			left = lifetime // none: it is good for ever
		}
	}
	if failure != nil && s.ctx.Err() == nil {
		s.options.Logger.WarnContext(s.ctx, "the server takes no fresh access token; the connection ends with the last one", "error", failure)
	}
}

// refresh gives the server a fresh token for a connection. It goes to where the connection began and
// not to where negotiation was redirected to: there the application's tokens are known.
func (c *connector) refresh(ctx context.Context, connection string) (good time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.RequestTimeout)
	defer cancel()
	u := withQuery(below(c.hub, "refresh"), "id="+url.QueryEscape(connection))
	response, err := c.network.do(ctx, c.credentials(), request{op: "refresh", method: http.MethodPost, url: u.String(), again: true})
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, failure("refresh", response)
	}
	defer response.Body.Close()
	var answer struct{ TokenLifetimeSeconds int64 }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxNegotiation)).Decode(&answer); err != nil {
		return 0, fmt.Errorf("client: refresh: %w", err)
	}
	return lifetime(answer.TokenLifetimeSeconds), nil
}
