// Package soak has clients of all kinds that come, act and go at random, and a model of the messages that each of them
// must hear. It is test support.
package soak

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// channel numbers the messages to an audience. While its lock is held, the number of the last
// message is known, and so are the messages that a client which joins or leaves now has to hear.
type channel struct {
	mu   sync.Mutex
	sent int
}

// next numbers and sends a message.
func (c *channel) next(ctx context.Context, to hub.Sender, method string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	// A message with a number is sent even if its client has left: behind a backplane the end of ctx
	// would leave it out, and the next one would look like a gap.
	return to.Send(context.WithoutCancel(ctx), method, append(args, c.sent)...)
}

// with does something between two messages, and returns the number of the first.
func (c *channel) with(do func() error) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent, do()
}

const roomCount = 6

// Hub is the application. Each one numbers its own messages, also if a backplane joins several.
type Hub struct {
	*hub.Hub
	source          string // stands in the messages of this hub
	everyone, ticks channel
	rooms           [roomCount]channel
	nests           atomic.Int64
	came, left      atomic.Int64 // clients
}

// Handler returns a handler for the endpoint of a Hub, in which each client is the user that it says it is.
func Handler(e http.Handler) http.Handler {
	return auth.Middleware(auth.Func(func(r *http.Request) (*auth.User, error) {
		return &auth.User{ID: r.Header.Get(UserHeader)}, nil
	}), e)
}

// Options are those of the endpoint of a Hub.
func Options() transports.Options {
	return transports.Options{DisconnectTimeout: 5 * time.Second, AllowStatefulReconnect: true}
}

// NewHub returns a hub without clients. b joins it to others, unless it is nil.
func NewHub(b hub.Backplane) *Hub {
	h := &Hub{source: rand.Text(), Hub: hub.New(hub.Options{DetailedErrors: true, MaxInvocationsPerSecond: -1, Backplane: b})}
	h.OnConnected(func(context.Context) error { h.came.Add(1); return nil })
	h.OnDisconnected(func(context.Context, error) { h.left.Add(1) })
	h.Handle("Echo", hub.Func1(func(_ context.Context, text string) (string, error) { return text, nil }))
	h.Handle("Count", hub.Stream1(count))
	h.Handle("Sum", hub.Func1(sum))
	h.Handle("AskBack", hub.Func1(func(ctx context.Context, n int) (int, error) {
		return hub.Invoke[int](ctx, h.Clients().Caller(ctx), "Double", n)
	}))
	h.Handle("Die", hub.Action0(func(ctx context.Context) error { hub.CallerFrom(ctx).Abort(); return nil }))
	h.Handle("Panic", hub.Action0(func(context.Context) error { panic("as asked") }))
	h.handleAudiences()
	return h
}

// Visitors returns how many clients came, and how many of them left.
func (h *Hub) Visitors() (came, left int64) { return h.came.Load(), h.left.Load() }

func (h *Hub) handleAudiences() {
	to := h.Clients()
	h.Handle("Mark", hub.Func0(func(context.Context) (mark, error) {
		n, err := h.everyone.with(func() error { return nil })
		return mark{h.source, n}, err
	}))
	h.Handle("Shout", hub.Action0(func(ctx context.Context) error {
		return h.everyone.next(ctx, to.All(), "Shouted", h.source)
	}))
	h.Handle("Tick", hub.Action0(func(ctx context.Context) error {
		return h.ticks.next(ctx, to.Conflate("tick").All(), "Ticked", h.source)
	}))
	h.Handle("Say", hub.Action1(func(ctx context.Context, room int) error {
		return h.rooms[room].next(ctx, to.Group(roomName(room)), "Said", h.source, room)
	}))
	h.Handle("Join", hub.Func1(func(ctx context.Context, room int) (int, error) {
		return h.rooms[room].with(func() error {
			return errors.Join(h.Groups().Add(ctx, hub.CallerFrom(ctx).ConnectionID(), roomName(room)), to.Caller(ctx).Send(ctx, "Joined", room))
		})
	}))
	h.Handle("Leave", hub.Func1(func(ctx context.Context, room int) (int, error) {
		return h.rooms[room].with(func() error {
			return h.Groups().Remove(ctx, hub.CallerFrom(ctx).ConnectionID(), roomName(room))
		})
	}))
	h.Handle("Tell", hub.Action2(func(ctx context.Context, from, count int) error {
		for i := range count {
			if err := to.User(hub.CallerFrom(ctx).UserID()).Send(ctx, "Told", from+i); err != nil {
				return err
			}
		}
		return nil
	}))
	// A group of its own, that only the end of the connection ends.
	h.Handle("Nest", hub.Action0(func(ctx context.Context) error {
		return h.Groups().Add(ctx, hub.CallerFrom(ctx).ConnectionID(), long(fmt.Sprint("nest ", h.nests.Add(1))))
	}))
}

// mark is a place among the messages to everyone.
type mark struct {
	Source string
	Sent   int
}

func roomName(room int) string { return fmt.Sprint("room ", room) }

// long makes a name so long that it is easy to find in the heap if it is left there.
func long(name string) string { return name + strings.Repeat(".", 4096) }

func count(_ context.Context, n int) (iter.Seq2[int, error], error) {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}, nil
}

func sum(_ context.Context, numbers hub.Upload[int]) (total int, err error) {
	for n, err := range numbers.All() {
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
