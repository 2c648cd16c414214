package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// eventStream is the Server-Sent Events transport: one response that does not end, and POSTs.
type eventStream struct {
	poster
	body  io.ReadCloser
	limit int
}

func openEventStream(opening context.Context, n *network, t target, o Options) (carrier, error) {
	e := &eventStream{poster: newPoster(opening, n, t, o), limit: eventLimit(o)}
	opened := context.AfterFunc(opening, e.Abort)
	response, err := n.do(e.ctx, t.cred, request{op: "event stream", method: http.MethodGet, url: t.url().String(), eventStream: true})
	switch {
	case err != nil:
	case response.StatusCode != http.StatusOK:
		err = failure("event stream", response)
	case !isOfType(response, "text/event-stream"):
		// A proxy has dropped Accept, or has answered by itself.
		response.Body.Close()
		err = fmt.Errorf("client: event stream: the response is not an event stream but %q", response.Header.Get("Content-Type"))
	case !opened():
		response.Body.Close()
		err = context.Cause(opening)
	}
	if err != nil {
		opened()
		e.Abort()
		return nil, err
	}
	e.body = response.Body
	return e, nil
}

// eventLimit is the longest event: one message, or many short ones that the server sent together.
func eventLimit(o Options) int {
	const unlimited = 1<<31 - 1
	if o.MaxMessageSize < 0 || o.MaxMessageSize > unlimited-mebibyte {
		return unlimited
	}
	return o.MaxMessageSize + mebibyte
}

func (e *eventStream) Receive(feed func([]byte) error) error {
	defer e.body.Close()
	events := newEventReader(e.body, e.limit)
	for {
		data, err := events.next()
		switch {
		case e.ctx.Err() != nil:
			return e.ended()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("client: event stream: %w", err)
		}
		if err := feed(data); err != nil {
			return err
		}
	}
}

// Close ends the response. There is no other way to inform the server.
func (e *eventStream) Close(context.Context) { e.cancel(nil) }
