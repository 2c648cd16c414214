package connection

import (
	"errors"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// frameOf is a frame of a text whose first letter tells its policy: n for DropNewest, o
// for DropOldest, a and b for Conflate with that key, anything else for Disconnect.
func frameOf(text string) *frame.Frame {
	f := frame.New([]byte(text), false)
	switch text[0] {
	case 'n':
		return f.With(frame.Delivery{Policy: frame.DropNewest})
	case 'o':
		return f.With(frame.Delivery{Policy: frame.DropOldest})
	case 'a', 'b':
		return f.With(frame.Delivery{Policy: frame.Conflate, Key: text[:1]})
	default:
		return f
	}
}

func TestQueueSettles(t *testing.T) {
	const limit = 10
	for _, c := range []struct {
		queued, next string
		strict       bool
		want         string // what is queued then; "full": ErrQueueFull
	}{
		{queued: "xx yy", next: "zz", want: "xx yy zz"},
		{queued: "xxxxx yyyyy", next: "z", want: "full"},
		{queued: "xxxxx yyyyy", next: "n", want: "xxxxx yyyyy"},
		{queued: "xxxxx yyyy", next: "n", want: "xxxxx yyyy n"},
		{queued: "xxxxx ooo", next: "o", want: "xxxxx ooo o"},
		{queued: "xx o1 yy o2 o3", next: "o4", want: "xx yy o2 o3 o4"},
		{queued: "xx o1 yy o2 o3", next: "o45", want: "xx yy o3 o45"},
		{queued: "xxxxxx o1 o2", next: "o3456", want: "xxxxxx o1 o2"},
		{queued: "xxxxx yyyyy", next: "o", want: "xxxxx yyyyy"},
		{queued: "xx a1 yy b1", next: "a2", want: "xx a2 yy b1"},
		{queued: "xx a1 yy b1 zz", next: "b23", want: "full"},
		{queued: "xx a1 yy b1 zz", next: "b2", want: "xx a1 yy b2 zz"},
		{queued: "xxxxx yyyyy", next: "a", want: "full"},
		{queued: "xxxxx", next: "a", want: "xxxxx a"},
		{queued: "a1 xx", next: "a2", strict: true, want: "a1 xx a2"},
		{queued: "xxxxx", next: "yyyyyyyyyyyy", strict: true, want: "xxxxx yyyyyyyyyyyy"},
		{queued: "xxxxx ooooo", next: "o", strict: true, want: "full"},
		{queued: "xxxxx yyyyy", next: "n", strict: true, want: "full"},
	} {
		var q queue
		for text := range strings.FieldsSeq(c.queued) {
			q.push(frameOf(text))
		}
		f := frameOf(c.next)
		done, err := q.makeRoom(f, limit, c.strict)
		if !done {
			q.push(f)
		}
		got := q.String()
		if errors.Is(err, transports.ErrQueueFull) && got == c.queued {
			got = "full"
		}
		if got != c.want {
			t.Errorf("%q and %q: %q, want %q", c.queued, c.next, got, c.want)
		}
		if size := len(strings.ReplaceAll(q.String(), " ", "")); size != q.bytes {
			t.Errorf("%q and %q: %d bytes are counted, there are %d", c.queued, c.next, q.bytes, size)
		}
	}
}

func (q *queue) String() string {
	var texts []string
	for _, f := range q.frames {
		texts = append(texts, string(f.Payload()))
	}
	return strings.Join(texts, " ")
}

// However short frames are, only so many wait, and one that may be dropped makes room for another.
func TestQueueOfManyFrames(t *testing.T) {
	var q queue
	oldest := frameOf("o")
	for range maxQueuedFrames {
		q.push(oldest)
	}
	for _, c := range []struct {
		next   string
		strict bool
		want   error
	}{{"x", false, transports.ErrQueueFull}, {"x", true, transports.ErrQueueFull}, {"n", false, nil}, {"a", false, transports.ErrQueueFull}} {
		if done, err := q.makeRoom(frameOf(c.next), 1<<30, c.strict); !done || !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, %v", c, done, err)
		}
	}
	if done, err := q.makeRoom(oldest, 1<<30, false); done || err != nil || len(q.frames) != maxQueuedFrames-1 {
		t.Errorf("%v, %v, %d frames", done, err, len(q.frames))
	}
}

// Beyond the first MiB only messages wait that must not be dropped.
func TestQueueOfDroppableFrames(t *testing.T) {
	var q queue
	q.push(frameOf(strings.Repeat("x", maxDroppableBytes)))
	for text, dropped := range map[string]bool{"x": false, "a": false, "n": true, "o": true} {
		if done, err := q.makeRoom(frameOf(text), 2*maxDroppableBytes, false); done != dropped || err != nil {
			t.Errorf("%s: %v, %v", text, done, err)
		}
	}
}
