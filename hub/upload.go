package hub

import (
	"iter"
	"sync"

	"github.com/carillon-go/carillon/protocol"
)

// Upload is a stream that the client sends, as a parameter of a method. Not read,
// it holds up its connection once Options.StreamBufferCapacity items wait; it is
// over when the method has returned.
type Upload[T any] struct{ q *uploadQueue[T] }

// All returns the items as they come, for one reader. The last may be an error: the
// client ended the stream with one (its text in an error as NewError's), an item was
// no T, or the connection ended.
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

// uploadTarget is a parameter of type Upload, whatever its items.
type uploadTarget interface{ open(capacity int) upload }

// upload is the receiving end of an uploaded stream.
type upload interface {
	// push decodes an item and waits for room, or for the end of the stream.
	push(p protocol.HubProtocol, raw []byte) error
	// end ends the stream, with an error or nil. Only the first end counts.
	end(err error)
}

func (u *Upload[T]) open(capacity int) upload {
	u.q = &uploadQueue[T]{items: make(chan T, capacity), ended: make(chan struct{})}
	return u.q
}

type uploadQueue[T any] struct {
	items chan T
	ended chan struct{}
	once  sync.Once
	err   error // written before ended is closed
}

func (q *uploadQueue[T]) push(p protocol.HubProtocol, raw []byte) error {
	var item T
	if err := p.Decode(raw, &item); err != nil {
		return err
	}
	select {
	case q.items <- item:
	case <-q.ended:
	}
	return nil
}

func (q *uploadQueue[T]) end(err error) {
	q.once.Do(func() {
		q.err = err
		close(q.ended)
	})
}

// take waits for the next item; ok is false behind the last one.
func (q *uploadQueue[T]) take() (item T, ok bool, err error) {
	select {
	case item = <-q.items:
		return item, true, nil
	case <-q.ended:
	}
	select { // what came before the end
	case item = <-q.items:
		return item, true, nil
	default:
		return item, q.err != nil, q.err
	}
}
