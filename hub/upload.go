package hub

import (
	"iter"
	"reflect"
	"sync"

	"github.com/carillon-go/carillon/internal/dispatch"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/protocol"
)

// Upload is a stream that the client sends, as a parameter of a method. If the method
// does not read it, the connection is not read while Options.StreamBufferCapacity items
// are buffered. It ends when the method returns and when the client cancels the
// invocation.
type Upload[T any] struct{ q *uploadQueue[T] }

// All returns the items in order, for one reader. The last element may be an error: the
// client ended the stream with an error (then with its text, as made by NewError), an
// item did not decode to T, the client cancelled the invocation (context.Canceled), or
// the connection ended.
func (u Upload[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			item, ok, err := u.q.take()
			if !ok || !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// uploadTarget is a parameter of type Upload with items of any type.
type uploadTarget interface {
	// open opens the upload. itself is set if the items may have methods to decode themselves.
	open(b *uploadBudget, itself bool) upload
	itemType() reflect.Type
}

// upload is the receiving end of an uploaded stream.
type upload interface {
	// push decodes an item and waits for room, for the end of the stream or for the end
	// of the connection: the method may never read. It returns a panic as an error.
	push(raw []byte) error
	// end ends the stream, with err or nil. Only the first call counts.
	end(err error)
	// drop discards the items that were not read.
	drop()
}

func (u *Upload[T]) open(b *uploadBudget, itself bool) upload {
	u.q = &uploadQueue[T]{budget: b, itself: itself, news: notify.NewSignal(), room: notify.NewSignal()}
	return u.q
}

func (*Upload[T]) itemType() reflect.Type { return reflect.TypeFor[T]() }

// uploadQueue is a queue with one writer and one reader.
type uploadQueue[T any] struct {
	budget *uploadBudget
	itself bool
	news   notify.Signal // a new item or the end
	room   notify.Signal // an item was taken, or the end

	mu    sync.Mutex
	items []uploadItem[T]
	ended bool
	err   error
}

type uploadItem[T any] struct {
	value T
	size  int
}

func (q *uploadQueue[T]) push(raw []byte) (err error) {
	defer guard.Recover(&err)
	out := q.budget.out
	var value T
	if err := decode(out.wire, raw, &value, q.itself); err != nil {
		return err
	}
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return nil
	}
	q.items = append(q.items, uploadItem[T]{value, len(raw)})
	q.budget.add(len(raw))
	q.mu.Unlock()
	q.news.Notify()
	if !q.full() {
		return nil
	}
	out.uncork()
	for q.full() {
		select {
		case <-q.room:
		case <-q.budget.freed:
		case <-out.conn.Context().Done():
			return nil
		}
	}
	return nil
}

func (q *uploadQueue[T]) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || len(q.items) == 0 {
		return false
	}
	return q.budget.isFull(len(q.items))
}

func (q *uploadQueue[T]) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.ended, q.err = true, err
	q.news.Notify()
	q.room.Notify()
}

func (q *uploadQueue[T]) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, item := range q.items {
		q.budget.add(-item.size)
	}
	q.items = nil
}

// take waits for the next item. ok is false after the last one. It reports the end only
// after all items.
func (q *uploadQueue[T]) take() (item T, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 && !q.ended {
		q.mu.Unlock()
		<-q.news
		q.mu.Lock()
	}
	if len(q.items) == 0 {
		return item, q.err != nil, q.err
	}
	first := q.items[0]
	q.items[0] = uploadItem[T]{}
	q.items = q.items[1:]
	q.budget.add(-first.size)
	q.room.Notify()
	return first.value, true, nil
}

// receiveItem queues an item for its method and waits while the queue is full. An item of
// the wrong type ends the stream.
func (s *Session) receiveItem(m *protocol.Message) {
	u, receiver := s.streams.upload(m.InvocationID)
	err := protocol.ErrUnknown
	if u != nil {
		err = u.push(m.Payload)
		// If the client's acknowledgements follow its items, nothing else would end the
		// wait.
		if s.out.buffer != nil && s.streams.held() > dispatch.MaxQueued && hold(s.out.conn, 0) {
			s.out.abortSlow()
		}
	}
	err = m.Outcome(err)
	if fault := asFault(err); fault != nil {
		s.closeOnViolation(fault)
		return
	}
	if u != nil && err != nil {
		receiver.logUnbound("stream item does not bind", err)
		s.streams.endUpload(m.InvocationID, NewError(explain("Failed to bind Stream message.", err, s.hub.options.DetailedErrors)))
	}
}
