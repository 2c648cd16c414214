package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// negotiated is what the answer of negotiate says that a load generator needs.
type negotiated struct {
	Error           string `json:"error"`
	URL             string `json:"url"`
	ConnectionID    string `json:"connectionId"`
	ConnectionToken string `json:"connectionToken"`
}

func (t *target) negotiateRequest() []byte {
	return t.request("POST", t.path("/negotiate", "negotiateVersion=1"), "", []byte{})
}

// negotiate asks for a connection and returns the query that names it.
func (c *httpConn) negotiate(request []byte) (query string, err error) {
	status, body, err := c.exchangeWithin(patience, request)
	if err != nil {
		return "", fmt.Errorf("negotiate: %w", err)
	}
	if status != 200 {
		return "", fmt.Errorf("negotiate: status %d", status)
	}
	var answer negotiated
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", errors.New("negotiate: the answer is not JSON: is this the URL of a hub?")
	}
	switch {
	case answer.Error != "":
		return "", errors.New("negotiate: " + answer.Error)
	case answer.URL != "":
		return "", errors.New("negotiate: the server sends clients elsewhere; put the load there")
	case answer.ConnectionToken == "":
		answer.ConnectionToken = answer.ConnectionID // a server before version 1
	}
	return "id=" + url.QueryEscape(answer.ConnectionToken), nil
}

// errorsInARow end a worker: a server that refuses is not asked for ever.
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
