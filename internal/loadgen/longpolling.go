package loadgen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// longPolling polls and posts in turn on one HTTP connection.
type longPolling struct {
	g *generator
	*httpConn
	target *target
	poll   []byte
	query  string
	post   post
}

func (p *longPolling) connect(ctx context.Context, t *target, query string) error {
	p.target, p.query, p.post = t, query, newPost(t, query)
	p.poll = t.request("GET", t.path("", query), "", nil)
	var err error
	if p.httpConn, err = t.dialHTTP(ctx); err != nil {
		return err
	}
	// The server answers the first poll at once, with an empty body.
	status, _, err := p.exchangeWithin(patience, p.poll)
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		_ = p.Close()
	}
	return err
}

func (p *longPolling) setDeadline(t time.Time) { _ = p.SetDeadline(t) }

func (p *longPolling) send(records []byte) error { return p.post.send(p.httpConn, records) }

func (p *longPolling) step(feed func([]byte) error) (more bool, err error) {
	status, body, err := p.exchange(p.poll)
	switch {
	case err != nil:
		return false, err
	case status == 204:
		return false, errors.New("the server ended the connection")
	case status != 200:
		return false, fmt.Errorf("poll: status %d", status)
	}
	if len(body) > 0 {
		err = feed(body)
	}
	return false, err
}

// leave ends the connection on the server, which would otherwise wait for the next poll.
func (p *longPolling) leave() error {
	if p.target == nil { // it never connected
		return nil
	}
	c, err := p.g.posts.get(context.Background(), p.target)
	if err != nil {
		return err
	}
	_, _, err = c.exchangeWithin(time.Second, p.target.request("DELETE", p.target.path("", p.query), "", nil))
	p.g.posts.put(c, err == nil)
	return err
}
