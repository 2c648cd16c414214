package hub

import (
	"fmt"
	"iter"

	"github.com/carillon-go/carillon/internal/guard"
)

// prepare registers a call that runs concurrently with the queue by its ids, so that the
// next messages find it: the items of its uploads and its cancellation. If one of its ids
// is in use, the call will be refused.
//
// It first waits until no call with a running authorization holds an upload id of c: if
// that call is refused, its ids become free. In this case alone the reader waits for an
// authorization, as the original's reader does. The wait ends with the session.
func (c *call) prepare() {
	s := c.session
	for decided := s.streams.undecided(c); decided != nil && s.await(decided); {
		decided = s.streams.undecided(c)
	}
	if s.streams.add(c) && c.streamed && s.out.phase.Load() == draining {
		c.interrupt()
	}
}

// finish removes a call that has ended.
func (c *call) finish() {
	if !c.queued {
		c.session.tasks.RemoveRunning(&c.Task)
		c.session.streams.remove(c)
	}
}

// stream sends the items of the method, then the completion. The id is free before the
// client gets the completion.
func (c *call) stream() {
	text, err := c.items()
	c.finish()
	if err != nil {
		c.session.closeOnEncodeError(err, c.name())
		return
	}
	if text != "" {
		c.fail(text)
		return
	}
	w := c.session.out.wire
	c.complete(w.frame(w.AppendVoid(nil, c.id)))
}

// items calls the method and sends its items. text is the error of the completion. err is
// set if an item cannot be encoded.
func (c *call) items() (text string, err error) {
	result, err := c.perform(c.bindError)
	seq, _ := result.(iter.Seq2[any, error])
	switch {
	case err != nil:
		return c.unlessCancelled(err, c.failure), nil
	case seq == nil:
		return fmt.Sprintf("The value returned by the streaming method '%s' is not a ChannelReader<> or IAsyncEnumerable<>.", c.name()), nil
	}
	c.step = streaming
	unsent, err := c.send(seq)
	if err != nil {
		text = c.unlessCancelled(err, c.streamFailure)
	}
	return text, unsent
}

// streamFailure logs an error of a stream that has started and returns the text of the
// completion for it.
func (c *call) streamFailure(err error) string {
	c.logFailure(err)
	return explain("An error occurred on the server while streaming results.", err, c.session.hub.options.DetailedErrors)
}

// unlessCancelled returns the text of failure for err, or "" if err is the result of the
// client's cancellation.
func (c *call) unlessCancelled(err error, failure func(error) string) string {
	if c.Err() != nil && is(err, c.Err()) {
		c.logFailure(err)
		return ""
	}
	return failure(err)
}

// send sends the items until the stream ends, fails or is cancelled. unsent is the error
// of an item that cannot be encoded.
func (c *call) send(seq iter.Seq2[any, error]) (unsent, err error) {
	s := c.session
	defer guard.Recover(&err)
	for item, failure := range seq {
		if failure != nil {
			return nil, failure
		}
		c.step = encoding
		f, err := s.out.wire.encode(func(dst []byte) ([]byte, error) { return s.out.wire.AppendStreamItem(dst, c.id, item) })
		c.step = streaming
		if err != nil {
			return err, nil
		}
		if s.out.sendWait(c, f) != nil {
			return nil, nil
		}
	}
	return nil, nil
}
