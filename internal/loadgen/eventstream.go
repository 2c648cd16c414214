package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// eventStream receives by a text/event-stream and sends by POST, on connections that
// all event streams share.
type eventStream struct {
	g *generator
	*httpConn
	ctx    context.Context // for the POSTs
	target *target
	lines  *bufio.Reader
	inLine bool // the last step ended within a data line
	post   post
}

func (e *eventStream) connect(ctx context.Context, t *target, query string) error {
	c, err := t.dialHTTP(ctx)
	if err != nil {
		return err
	}
	e.httpConn, e.ctx, e.target, e.post = c, ctx, t, newPost(t, query)
	_ = c.SetDeadline(time.Now().Add(patience))
	var h head
	if _, err = c.Write(t.request("GET", t.path("", query), "Accept: text/event-stream\r\n", nil)); err == nil {
		h, err = c.readHead()
	}
	switch {
	case err != nil:
	case h.status != 200:
		err = fmt.Errorf("status %d", h.status)
	case !h.eventStream:
		err = errors.New("the answer is no event stream")
	}
	if err != nil {
		_ = c.Close()
		return err
	}
	e.lines = bufio.NewReaderSize(e.bodyReader(h), readBuffer)
	return nil
}

func (e *eventStream) setDeadline(t time.Time) { _ = e.SetDeadline(t) }

func (e *eventStream) leave() error { return nil }

func (e *eventStream) send(records []byte) error {
	c, err := e.g.posts.get(e.ctx, e.target)
	if err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	err = e.post.send(c, records)
	e.g.posts.put(c, err == nil)
	return err
}

var dataField = []byte("data:")

// step reads one line.
func (e *eventStream) step(feed func([]byte) error) (more bool, err error) {
	line, err := e.lines.ReadSlice('\n')
	goesOn := errors.Is(err, bufio.ErrBufferFull)
	if err != nil && !goesOn {
		return false, err
	}
	if !goesOn {
		line = bytes.TrimRight(line, "\r\n")
	}
	data := e.inLine
	if !data && bytes.HasPrefix(line, dataField) {
		data, line = true, bytes.TrimPrefix(line[len(dataField):], []byte(" "))
	}
	e.inLine = data && goesOn
	if data {
		err = feed(line)
	} else {
		err = nil
	}
	return e.lines.Buffered() > 0, err
}

// post sends the records of one connection.
type post struct {
	head string // up to the length of the body
}

func newPost(t *target, query string) post {
	return post{head: "POST " + t.path("", query) + " HTTP/1.1\r\n" + t.head + "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: "}
}

func (p post) send(c *httpConn, records []byte) error {
	c.request = append(c.request[:0], p.head...)
	c.request = strconv.AppendInt(c.request, int64(len(records)), 10)
	c.request = append(c.request, "\r\n\r\n"...)
	c.request = append(c.request, records...)
	status, _, err := c.exchange(c.request)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("POST: status %d", status)
	}
	return err
}
