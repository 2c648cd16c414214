package client

import (
	"bytes"
	"context"
	"iter"
	"sync"

	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/protocol"
)

// Stream calls a streaming method of the hub. Each loop over the sequence makes a new call.
// Breaking out of the loop and the end of ctx cancel it at the server. An error is the last element
// of the sequence: a *HubError if the server ended the stream with one.
func Stream[T any](ctx context.Context, c *HubConnection, method string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		s, err := c.connected()
		if err != nil {
			yield(none, err)
			return
		}
		k := &stream[T]{protocol: s.protocol, budget: s.run.budget, moved: notify.NewSignal()}
		uploading, stopUploads := context.WithCancel(ctx)
		defer stopUploads()
		id, err := s.startCall(uploading, k, s.protocol.AppendStreamInvocation, method, args)
		if err != nil {
			yield(none, err)
			return
		}
		defer k.abandon()
		defer s.cancelCall(id) // no effect if the call has completed
		for {
			item, more, err := k.next(ctx)
			if err != nil {
				yield(none, err)
				return
			}
			if !more || !yield(item, nil) {
				return
			}
		}
	}
}

// stream is the call of Stream. It holds the items that the loop has not taken yet.
type stream[T any] struct {
	protocol protocol.HubProtocol
	budget   *budget

	mu    sync.Mutex
	items []streamItem
	ended bool // no more items follow
	err   error
	moved notify.Signal // wakes next when it must check again
}

// streamItem is an item that the loop has not taken yet. The loop decodes it, not the reader,
// because decoding may run application code.
type streamItem struct {
	raw  []byte
	size int // in the budget, in bytes
}

// item adds an item. The reader calls it.
func (k *stream[T]) item(ctx context.Context, raw []byte) error {
	next := streamItem{raw: bytes.Clone(raw), size: len(raw) + jobOverhead}
	if err := k.budget.acquire(ctx, next.size); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		k.budget.release(next.size)
		return nil
	}
	k.items = append(k.items, next)
	k.moved.Notify()
	return nil
}

func (k *stream[T]) complete(m *protocol.Message) { k.fail(completionError(m)) }

func (k *stream[T]) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.ended {
		k.ended, k.err = true, err
		k.moved.Notify()
	}
}

// next waits for an item. more is false after the last one. The end of ctx takes precedence over
// waiting items, because these may never run out.
func (k *stream[T]) next(ctx context.Context) (value T, more bool, err error) {
	for {
		if ctx.Err() != nil {
			return value, false, context.Cause(ctx)
		}
		if raw, ok, ended, err := k.take(); ok || ended {
			if ok {
				err = guard.Run(func() error { return k.protocol.Decode(raw, &value) })
			}
			return value, ok, err
		}
		done := k.budget.expectAnswer()
		err := await(ctx, k.moved)
		done()
		if err != nil {
			return value, false, err
		}
	}
}

func (k *stream[T]) take() (raw []byte, ok, ended bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.items) == 0 {
		return nil, false, k.ended, k.err
	}
	first := k.items[0]
	k.items[0] = streamItem{}
	k.items = k.items[1:]
	k.budget.release(first.size)
	return first.raw, true, false, nil
}

// abandon drops the items that were not taken.
func (k *stream[T]) abandon() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	for _, item := range k.items {
		k.budget.release(item.size)
	}
	k.items = nil
}
