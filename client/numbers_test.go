package client

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/messagebuffer"
)

var extremes = []int64{
	math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 2, math.MinInt32 - 1, math.MinInt32, -1 << 32, -1<<32 + 1, -1<<32 + 2, -1<<32 + 3, -1, 0,
	math.MaxInt32 + 1, 1 << 32, 1<<32 + 1, 1<<32 + 2, math.MaxInt64 - 1, math.MaxInt64,
}

func statefulOutbox() *outbox {
	b := newOutbox(nil)
	b.buffer = &messageBuffer{messages: messagebuffer.New[sentRecord](), limit: 100}
	b.buffer.messages.IsNew()
	for range 4 {
		b.buffer.messages.Keep([]byte("x"))
	}
	b.acknowledged(1)
	return b
}

// An acknowledgement of what was never sent, or long ago, lets go nothing that the server has not received.
func TestExtremeAcknowledgements(t *testing.T) {
	for _, n := range extremes {
		b := statefulOutbox()
		b.acknowledged(n)
		want := 3
		if n > 0 {
			want = 0
		}
		if records, bytes := b.buffer.messages.Unacknowledged(); records != want || bytes != want || b.buffer.messages.First() != int64(5-want) {
			t.Errorf("%d: %d records of %d bytes are kept from %d on", n, records, bytes, b.buffer.messages.First())
		}
	}
}

// A sequence number that no message has is an error: all that follows would be taken for duplicates.
func TestExtremeSequences(t *testing.T) {
	for _, n := range extremes {
		if n == 0 {
			continue // .NET's client takes it, and so does ours
		}
		b := statefulOutbox()
		want := messagebuffer.ErrNegative
		if n > 0 {
			want = messagebuffer.ErrAhead
		}
		if err := b.sequence(n); !errors.Is(err, want) || b.sequence(2) != nil || b.sequence(3) == nil || !b.buffer.messages.IsAckDue() {
			t.Errorf("%d: %v, and the next message is not 2 or an acknowledgement is not due", n, err)
		}
	}
}

func TestExtremeLifetimes(t *testing.T) {
	for seconds, want := range map[int64]time.Duration{
		math.MinInt64: 0, -1: 0, 0: 0, 60: time.Minute, 1 << 31: 1 << 31 * time.Second, 1 << 34: math.MaxInt64 / time.Second * time.Second, math.MaxInt64: math.MaxInt64 / time.Second * time.Second,
	} {
		if got := lifetime(seconds); got != want {
			t.Errorf("%d seconds: %v, want %v", seconds, got, want)
		}
	}
}

func TestOfferOfALongLifetime(t *testing.T) {
	for _, seconds := range []int64{1 << 31, math.MaxInt64} {
		o, err := parseOffer(fmt.Appendf(nil, `{"connectionId":"a","availableTransports":[],"tokenLifetimeSeconds":%d}`, seconds), false)
		if err != nil || lifetime(o.TokenLifetimeSeconds) <= time.Hour {
			t.Errorf("%d seconds: %v, %v", seconds, o, err)
		}
	}
}
