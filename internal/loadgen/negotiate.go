package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
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
		return answer, fmt.Errorf("negotiate: status %d", status)
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

// negotiateForever is a worker of [Negotiate].
func (g *generator) negotiateForever(ctx context.Context, s *shard) error {
	request := g.target.negotiateRequest()
	c, err := g.target.dialHTTP(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	g.meter.open.Add(1)
	for ctx.Err() == nil {
		began := g.now()
		status, body, err := c.exchange(request)
		if err != nil {
			return err
		}
		if status != 200 || len(body) == 0 {
			return fmt.Errorf("negotiate: status %d", status)
		}
		g.count(s, g.now()-began, len(body))
	}
	return nil
}
