package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/internal/notify"
)

// link is a pair of connections to a server: one publishes, one subscribes. Its goroutines end
// with close.
type link struct {
	address    string
	publisher  *conn
	subscriber *conn
	ctx        context.Context // until one of the connections is lost
	fail       context.CancelCauseFunc
	running    sync.WaitGroup
	written    notify.Signal // out has something

	mu         sync.Mutex
	out        []byte // commands that the publisher has not sent
	waiting    []waiting
	unanswered int         // bytes of the commands that wait
	room       notify.Gate // opened when unanswered is at most maxUnanswered
}

// waiting is a command that the server has not answered.
type waiting struct {
	of    *publication
	bytes int
}

// publication is a payload that is published on channels, or another command of the publisher. The
// server answers commands in their order.
type publication struct {
	receivers []int // by channel, of those that the server has answered
	channels  int   // 1 for another command
	kind      byte  // of an answer that is not a refusal
	items     []reply
	within    time.Duration // the longest time until the last answer
	refusal   error
	done      chan struct{} // closed after the last answer
}

// connect returns a link. Its subscriber passes the received replies to receive.
func (s *settings) connect(ctx context.Context, receive func(r *reply) error) (*link, error) {
	publisher, address, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	subscriber, err := s.dial(ctx, address)
	if err != nil {
		_ = publisher.Close()
		return nil, err
	}
	l := &link{address: address, publisher: publisher, subscriber: subscriber, written: notify.NewSignal()}
	l.ctx, l.fail = context.WithCancelCause(ctx)
	context.AfterFunc(l.ctx, func() { // ends all that waits for the server
		_ = publisher.Close()
		_ = subscriber.Close()
	})
	l.running.Go(l.write)
	l.running.Go(func() { l.read(publisher, l.answer) })
	l.running.Go(func() { l.read(subscriber, receive) })
	if s.master != "" {
		l.running.Go(func() { l.watch(s) })
	}
	return l, nil
}

// close ends the connections. Nothing is received any more when it returns.
func (l *link) close() {
	l.fail(errClosed)
	l.running.Wait()
}

// read passes on the replies of a connection until it is lost.
func (l *link) read(c *conn, pass func(r *reply) error) {
	for {
		r, err := readReply(c.in, maxDepth)
		if err == nil {
			err = pass(&r)
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// write sends the commands of the publisher.
func (l *link) write() {
	var spare []byte
	for {
		select {
		case <-l.written:
		case <-l.ctx.Done():
			return
		}
		l.mu.Lock()
		out := l.out
		l.out = spare[:0]
		l.mu.Unlock()
		if _, err := l.publisher.Write(out); err != nil {
			l.fail(err)
			return
		}
		if spare = out; cap(spare) > maxSpare {
			spare = nil
		}
	}
}

// publish has a payload published on channels, and does not wait for the answers. It waits while more
// than maxUnanswered bytes are on their way.
func (l *link) publish(ctx context.Context, payload []byte, channels []string) (*publication, error) {
	p := &publication{channels: len(channels), kind: ':', done: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.unanswered > maxUnanswered {
		if err := l.awaitRoomLocked(ctx); err != nil {
			return nil, err
		}
	}
	for _, channel := range channels {
		l.enqueueLocked(p, appendBulk(appendBulk(appendBulk(appendHead(l.out, '*', 3), "PUBLISH"), channel), payload))
	}
	p.within = publishTimeout + time.Duration(l.unanswered)*timePerByte
	l.written.Notify()
	return p, nil
}

// awaitRoomLocked waits until less is on its way. It releases the lock meanwhile.
func (l *link) awaitRoomLocked(ctx context.Context) error {
	room := l.room.Wait()
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-room:
		return nil
	case <-l.ctx.Done():
		return l.lost()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lost returns the error of publications that were under way at the loss of the link.
func (l *link) lost() error { return fmt.Errorf("%w: %w", backplane.ErrLost, context.Cause(l.ctx)) }

// enqueueLocked notes that a command has been appended to out.
func (l *link) enqueueLocked(of *publication, out []byte) {
	bytes := len(out) - len(l.out)
	l.out, l.unanswered = out, l.unanswered+bytes
	l.waiting = append(l.waiting, waiting{of, bytes})
}

// wait waits until a publication is answered. Without an answer in time the link is lost, and so it
// is if the server refuses publications for another reason than a missing right.
func (l *link) wait(ctx context.Context, p *publication) error {
	unanswered := time.NewTimer(p.within)
	defer unanswered.Stop()
	select {
	case <-p.done:
		if p.refusal == nil || strings.HasPrefix(p.refusal.Error(), noRight) {
			return nil
		}
		l.fail(p.refusal)
	case <-unanswered.C:
		l.fail(errUnanswered)
	case <-l.ctx.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return l.lost()
}

// answer takes the server's answer to the first publication that waits.
func (l *link) answer(r *reply) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := r.refusal()
	if len(l.waiting) == 0 || failed == nil && r.kind != l.waiting[0].of.kind {
		if failed == nil {
			failed = errProtocol
		}
		return failed
	}
	p := l.waiting[0].of
	if l.unanswered -= l.waiting[0].bytes; l.unanswered <= maxUnanswered {
		l.room.Open()
	}
	l.waiting[0] = waiting{}
	l.waiting = l.waiting[1:]
	p.receivers, p.items = append(p.receivers, int(r.number)), r.items
	if p.refusal == nil {
		p.refusal = failed
	}
	if len(p.receivers) == p.channels {
		close(p.done)
	}
	return nil
}

// subscribe has channels subscribed or unsubscribed. The answers come later.
func (l *link) subscribe(names []string, subscribe bool) error {
	command := "UNSUBSCRIBE"
	if subscribe {
		command = "SUBSCRIBE"
	}
	if err := l.subscriber.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	out := appendBulk(appendHead(nil, '*', 1+len(names)), command)
	for _, name := range names {
		out = appendBulk(out, name)
	}
	_, err := l.subscriber.Write(out)
	return err
}

// watch ends the link if Sentinels name another master.
func (l *link) watch(s *settings) {
	asking := time.NewTicker(sentinelInterval)
	defer asking.Stop()
	for {
		select {
		case <-asking.C:
		case <-l.ctx.Done():
			return
		}
		if s.moved(l.ctx, l.address) {
			l.fail(errMoved)
			return
		}
	}
}
