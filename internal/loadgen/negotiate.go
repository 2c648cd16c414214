package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// negotiated holds the fields of a negotiation's answer that are needed.
type negotiated struct {
	Error           string `json:"error"`
	URL             string `json:"url"`
	AccessToken     string `json:"accessToken"`
	ConnectionID    string `json:"connectionId"`
	ConnectionToken string `json:"connectionToken"`
}

func (t *target) negotiateRequest() []byte {
	return t.request("POST", t.path("/negotiate", "negotiateVersion=1"), "", []byte{})
}

// negotiate requests a connection.
func (c *httpConn) negotiate(request []byte) (answer negotiated, err error) {
	status, body, err := c.exchangeWithin(patience, request)
	if err != nil {
		return answer, fmt.Errorf("negotiate: %w", err)
	}
	if status != 200 {
		return answer, c.refusal(status)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, errors.New("negotiate: the answer is not JSON: is this the URL of a hub?")
	}
	if answer.Error != "" {
		return answer, errors.New("negotiate: " + answer.Error)
	}
	if answer.ConnectionToken == "" {
		answer.ConnectionToken = answer.ConnectionID // a server before version 1
	}
	return answer, nil
}

// refusal is an answer to a negotiation that gives no connection.
type refusal struct {
	status int
	reason string // of a challenge
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("negotiate: status %d", r.status)
	if r.byLimit() {
		text += ", a limit of the server"
	}
	if r.reason != "" {
		text += ": " + r.reason
	}
	return text
}

// byLimit reports whether a limit of the server refused the negotiation.
func (r *refusal) byLimit() bool { return r.status == 429 || r.status == 503 }

// isLimit reports whether an error is the refusal by a limit of the server.
func isLimit(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.byLimit()
}

// refusal returns the error of the last answer.
func (c *httpConn) refusal(status int) error {
	r := &refusal{status: status}
	if status == 401 {
		r.reason = c.challenge
	}
	return r
}

// refusedPause is the time for which a worker waits after a limit of the server refused it.
const refusedPause = 10 * time.Millisecond

// sideConn holds the HTTP connections of one worker that opens links in turn: one to the
// hub, and one to each address that redirects name.
type sideConn struct {
	g     *generator
	conns map[string]*httpConn // by address
}

// redirects is how many redirects are followed.
const redirects = 10

// negotiate returns where to connect, and the query that names the connection.
func (s *sideConn) negotiate(ctx context.Context) (t *target, query string, err error) {
	t, request := s.g.target, s.g.negotiateRequest
	for range redirects {
		answer, err := s.ask(ctx, t, request)
		if err != nil {
			return nil, "", err
		}
		if answer.URL == "" {
			return t, "id=" + url.QueryEscape(answer.ConnectionToken), nil
		}
		if t, err = t.sentOn(answer.URL, answer.AccessToken); err != nil {
			return nil, "", fmt.Errorf("negotiate: sent on: %w", err)
		}
		request = t.negotiateRequest()
	}
	return nil, "", errors.New("negotiate: sent on again and again")
}

func (s *sideConn) ask(ctx context.Context, t *target, request []byte) (answer negotiated, err error) {
	c := s.conns[t.address]
	if c == nil {
		if c, err = t.dialHTTP(ctx); err != nil {
			return answer, err
		}
		if s.conns == nil {
			s.conns = make(map[string]*httpConn)
		}
		s.conns[t.address] = c
	}
	answer, err = c.negotiate(request)
	if err != nil || c.last {
		_ = c.Close()
		delete(s.conns, t.address)
	}
	return answer, err
}

func (s *sideConn) close() {
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// errorsInARow is how many consecutive errors end a worker.
const errorsInARow = 10

// negotiateForever is a worker of [Negotiate]. It closes each connection before it negotiates the
// next one; only the negotiation is timed.
func (g *generator) negotiateForever(ctx context.Context, s *shard) error {
	c, err := g.target.dialHTTP(context.WithoutCancel(ctx)) // the last connection is closed after the end of ctx
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	g.meter.open.Add(1)
	for ctx.Err() == nil {
		began := g.now()
		answer, err := c.negotiate(g.negotiateRequest)
		switch {
		case isLimit(err):
			g.refused(ctx, err)
		case err != nil:
			return err
		default:
			g.count(s, g.now()-began, len(c.body))
			if err := c.discard(g.target, answer); err != nil {
				return err
			}
		}
		if c.last {
			_ = c.Close()
			if c, err = g.target.dialHTTP(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		}
	}
	return nil
}

// refused counts a refusal by a limit of the server, and waits.
func (g *generator) refused(ctx context.Context, err error) {
	if g.meter.recording.Load() {
		g.meter.fail(&g.meter.refused, err)
	}
	wait(ctx, refusedPause)
}

// discard closes a connection that was negotiated. Only a connection by long polling can be closed
// by a request, so it polls once. A server that does not offer long polling closes the connection
// by itself, after its time limit.
func (c *httpConn) discard(t *target, answer negotiated) error {
	if answer.ConnectionToken == "" || c.last {
		return nil
	}
	query := "id=" + url.QueryEscape(answer.ConnectionToken)
	status, _, err := c.exchangeWithin(patience, t.request("GET", t.path("", query), "", nil))
	if err == nil && status == 200 && !c.last {
		_, _, err = c.exchangeWithin(patience, t.request("DELETE", t.path("", query), "", nil))
	}
	if err != nil {
		return fmt.Errorf("close a negotiated connection: %w", err)
	}
	return nil
}
