// Package packread reads the MessagePack of other programs: payloads of a backplane, and messages
// of application servers.
package packread

import "github.com/tinylib/msgp/msgp"

// Reader reads values from the front of Data. After a failure it returns zero values, and Failed is
// set. It never reads more than Data, and a length never makes it reserve memory.
type Reader struct {
	Data   []byte
	Failed bool
}

func read[T any](r *Reader, v T, rest []byte, err error) (value T) {
	if r.Failed || err != nil {
		r.Failed = true
		return value
	}
	r.Data = rest
	return v
}

// Array reads the length of an array, which is at least least.
func (r *Reader) Array(least uint32) int {
	n, rest, err := msgp.ReadArrayHeaderBytes(r.Data)
	return r.length(read(r, n, rest, err), least)
}

// Map reads the number of pairs in a map.
func (r *Reader) Map() int {
	n, rest, err := msgp.ReadMapHeaderBytes(r.Data)
	return r.length(read(r, n, rest, err), 0)
}

// length checks the number of elements that follow, each of at least one byte.
func (r *Reader) length(n, least uint32) int {
	if r.Failed || n < least || uint64(n) > uint64(len(r.Data)) {
		r.Failed = true
		return 0
	}
	return int(n)
}

// The codes of strings and of bytes with a length of one byte; two and four bytes follow.
const (
	str8 = 0xd9
	bin8 = 0xc4
)

// Name reads a string. It is part of Data.
func (r *Reader) Name() []byte {
	if len(r.Data) > 0 && r.Data[0]&0xe0 == 0xa0 {
		return r.content(1, uint64(r.Data[0]&0x1f))
	}
	return r.long(str8)
}

// Bytes reads bytes. They are part of Data.
func (r *Reader) Bytes() []byte { return r.long(bin8) }

// long reads a value with the code code8, or with one of the next two. Functions of msgp would
// confuse lengths of 2 GiB and more on systems of 32 bits.
func (r *Reader) long(code8 byte) []byte {
	if len(r.Data) == 0 || r.Data[0]-code8 > 2 {
		r.Failed = true
		return nil
	}
	head := 1 + 1<<(r.Data[0]-code8)
	if len(r.Data) < head {
		r.Failed = true
		return nil
	}
	var n uint64
	for _, c := range r.Data[1:head] {
		n = n<<8 | uint64(c)
	}
	return r.content(head, n)
}

// content reads n bytes after a head.
func (r *Reader) content(head int, n uint64) []byte {
	if r.Failed || n > uint64(len(r.Data)-head) {
		r.Failed = true
		return nil
	}
	end := head + int(n) //nolint:gosec // at most len(Data)
	v := r.Data[head:end:end]
	r.Data = r.Data[end:]
	return v
}

// Text reads a string. nil counts as empty.
func (r *Reader) Text() string {
	if r.nil() {
		return ""
	}
	return string(r.Name())
}

// nil reads nil, if it is next.
func (r *Reader) nil() bool {
	if r.Failed || !msgp.IsNil(r.Data) {
		return false
	}
	r.Data = r.Data[1:]
	return true
}

// Texts reads an array of strings. nil counts as empty.
func (r *Reader) Texts() []string {
	if r.nil() {
		return nil
	}
	var all []string
	for range r.Array(0) {
		all = append(all, r.Text())
		if r.Failed {
			return nil
		}
	}
	return all
}

// Int reads an integer of any size within bounds.
func (r *Reader) Int(least, most int64) int64 {
	n, rest, err := msgp.ReadInt64Bytes(r.Data)
	if n = read(r, n, rest, err); n < least || n > most {
		r.Failed = true
		return 0
	}
	return n
}

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	v, rest, err := msgp.ReadBoolBytes(r.Data)
	return read(r, v, rest, err)
}

// Skip skips a value.
func (r *Reader) Skip() {
	for left := 1; left > 0 && !r.Failed; left-- {
		left += r.enter()
	}
}

// enter skips a value without its elements, and returns the number of these.
func (r *Reader) enter() (elements int) {
	switch msgp.NextType(r.Data) {
	case msgp.StrType:
		r.Name()
	case msgp.BinType:
		r.Bytes()
	case msgp.ArrayType:
		return r.Array(0)
	case msgp.MapType:
		return 2 * r.Map()
	case msgp.NilType, msgp.BoolType, msgp.IntType, msgp.UintType, msgp.Float32Type, msgp.Float64Type:
		rest, err := msgp.Skip(r.Data) //nolint:forbidigo // these have no length
		read(r, struct{}{}, rest, err)
	default: // extensions, which neither kind of program uses
		r.Failed = true
	}
	return 0
}
