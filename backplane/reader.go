package backplane

import (
	"math"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// reader reads MessagePack from the front of data. After a failure it returns zero values.
type reader struct {
	data   []byte
	failed bool
}

func read[T any](r *reader, v T, rest []byte, err error) (value T) {
	if r.failed || err != nil {
		r.failed = true
		return value
	}
	r.data = rest
	return v
}

// array reads the length of an array, which is at least least.
func (r *reader) array(least uint32) int {
	n, rest, err := msgp.ReadArrayHeaderBytes(r.data)
	return r.length(read(r, n, rest, err), least)
}

// mapping reads the number of pairs in a map.
func (r *reader) mapping() int {
	n, rest, err := msgp.ReadMapHeaderBytes(r.data)
	return r.length(read(r, n, rest, err), 0)
}

// length checks the number of elements that follow, each of at least one byte.
func (r *reader) length(n, least uint32) int {
	if r.failed || n < least || uint64(n) > uint64(len(r.data)) {
		r.failed = true
		return 0
	}
	return int(n)
}

// The codes of strings and of bytes with a length of one byte; two and four bytes follow.
const (
	str8 = 0xd9
	bin8 = 0xc4
)

// name reads a string. It is part of data.
func (r *reader) name() []byte {
	if len(r.data) > 0 && r.data[0]&0xe0 == 0xa0 {
		return r.content(1, uint64(r.data[0]&0x1f))
	}
	return r.long(str8)
}

// bytes reads bytes. They are part of data.
func (r *reader) bytes() []byte { return r.long(bin8) }

// long reads a value with the code code8, or with one of the next two. Functions of msgp would
// confuse lengths of 2 GiB and more on systems of 32 bits.
func (r *reader) long(code8 byte) []byte {
	if len(r.data) == 0 || r.data[0]-code8 > 2 {
		r.failed = true
		return nil
	}
	head := 1 + 1<<(r.data[0]-code8)
	if len(r.data) < head {
		r.failed = true
		return nil
	}
	var n uint64
	for _, c := range r.data[1:head] {
		n = n<<8 | uint64(c)
	}
	return r.content(head, n)
}

// content reads n bytes after a head.
func (r *reader) content(head int, n uint64) []byte {
	if r.failed || n > uint64(len(r.data)-head) {
		r.failed = true
		return nil
	}
	end := head + int(n) //nolint:gosec // at most len(data)
	v := r.data[head:end:end]
	r.data = r.data[end:]
	return v
}

// text reads a string. nil counts as empty.
func (r *reader) text() string {
	if msgp.IsNil(r.data) && !r.failed {
		r.data = r.data[1:]
		return ""
	}
	return string(r.name())
}

// int reads an integer of any size within bounds.
func (r *reader) int(least, most int64) int64 {
	n, rest, err := msgp.ReadInt64Bytes(r.data)
	if n = read(r, n, rest, err); n < least || n > most {
		r.failed = true
	}
	return n
}

// extension reads the extension of an invocation up to the first unknown key. It is ignored
// if it is malformed.
func (r *reader) extension() (x extension) {
	var d frame.Delivery
	for range r.mapping() {
		switch string(r.name()) {
		case "policy":
			d.Policy = frame.Policy(r.int(0, int64(frame.Conflate))) //nolint:gosec // within these bounds
			x.delivery = &d
		case "key":
			d.Key = r.text()
		case "end":
			v, rest, err := msgp.ReadBoolBytes(r.data)
			x.end = read(r, v, rest, err)
		default:
			return x
		}
		if r.failed {
			return extension{}
		}
	}
	return x
}

// change reads the extension of a command as extension does that of an invocation.
func (r *reader) change() (x change) {
	for range r.mapping() {
		switch string(r.name()) {
		case "action":
			x.action = hub.Action(r.int(0, math.MaxUint8))
		case "name":
			x.name = r.text()
		case "ttl":
			x.ttl = time.Duration(r.int(math.MinInt64, math.MaxInt64))
		default:
			return x
		}
		if r.failed {
			return change{}
		}
	}
	return x
}
