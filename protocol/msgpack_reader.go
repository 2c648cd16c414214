package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// maxPackDepth is the limit for nesting in MessagePack: a bound for recursion, as in
// .NET.
const maxPackDepth = 500

// packReader reads MessagePack from the front of data.
type packReader struct {
	data   []byte
	depth  int32
	strict bool // see skipElements
}

var (
	errEnd      = &Fault{Exception: "EndOfStreamException", Message: "Attempted to read past the end of the stream."}
	errTooLong  = &Fault{Exception: "ArgumentOutOfRangeException", Message: "Specified argument was out of the range of valid values. (Parameter 'count')"}
	errPackDeep = &Fault{Exception: "InsufficientExecutionStackException", Message: "This msgpack sequence has an object graph that exceeds the maximum depth allowed of 500."}
)

// unexpected returns the fault of a value of the wrong kind.
func (r *packReader) unexpected(reflect.Type) error {
	if len(r.data) == 0 {
		return errEnd
	}
	code := r.data[0]
	return &Fault{
		Exception: "MessagePackSerializationException",
		Message:   fmt.Sprintf("Unexpected msgpack code %d (%s) encountered.", code, formatName(code)),
	}
}

var formatNames = [...]string{
	"nil", "(never used)", "false", "true", "bin 8", "bin 16", "bin 32", "ext 8", "ext 16", "ext 32", "float 32", "float 64",
	"uint 8", "uint 16", "uint 32", "uint 64", "int 8", "int 16", "int 32", "int 64",
	"fixext 1", "fixext 2", "fixext 4", "fixext 8", "fixext 16", "str 8", "str 16", "str 32", "array 16", "array 32", "map 16", "map 32",
}

func formatName(code byte) string {
	switch {
	case code < 0x80:
		return "positive fixint"
	case code < 0x90:
		return "fixmap"
	case code < 0xa0:
		return "fixarray"
	case code < 0xc0:
		return "fixstr"
	case code < 0xe0:
		return formatNames[code-0xc0]
	}
	return "negative fixint"
}

// arrayHeader reads the length of an array. Each element has at least one byte.
func (r *packReader) arrayHeader() (int, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(r.data)
	return r.header(n, rest, err, 1)
}

// mapHeader reads the number of pairs in a map.
func (r *packReader) mapHeader() (int, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(r.data)
	return r.header(n, rest, err, 2)
}

func (r *packReader) header(n uint32, rest []byte, err error, size int) (int, error) {
	if err != nil {
		return 0, r.toFault(err)
	}
	if int64(n)*int64(size) > int64(len(rest)) {
		return 0, errEnd
	}
	r.data = rest
	return int(n), nil
}

// toFault returns the fault for an error of msgp.
func (r *packReader) toFault(err error) error {
	if errors.Is(msgp.Cause(err), msgp.ErrShortBytes) {
		return errEnd
	}
	return r.unexpected(nil)
}

// first returns the code of the next value, or 0 if there is none.
func (r *packReader) first() byte {
	if len(r.data) == 0 {
		return 0
	}
	return r.data[0]
}

func (r *packReader) isNil() bool { return len(r.data) > 0 && r.data[0] == 0xc0 }

// null reads a nil if it is next.
func (r *packReader) null() bool {
	if !r.isNil() {
		return false
	}
	r.data = r.data[1:]
	return true
}

func (r *packReader) int() (int64, error) {
	if c := r.first(); 0 < c && c < 0x80 { // most are short
		r.data = r.data[1:]
		return int64(c), nil
	}
	n, rest, err := msgp.ReadInt64Bytes(r.data)
	if err != nil {
		return 0, r.toFault(err)
	}
	r.data = rest
	return n, nil
}

func (r *packReader) uint() (uint64, error)   { return readScalar(r, msgp.ReadUint64Bytes) }
func (r *packReader) readBool() (bool, error) { return readScalar(r, msgp.ReadBoolBytes) }

func readScalar[T any](r *packReader, read func([]byte) (T, []byte, error)) (x T, err error) {
	x, rest, err := read(r.data)
	if err != nil {
		return x, r.toFault(err)
	}
	r.data = rest
	return x, nil
}

// text reads a string without copying it. The text may be invalid UTF-8. isNil is set for
// nil.
func (r *packReader) text() (text []byte, isNil bool, err error) {
	if r.null() {
		return nil, true, nil
	}
	if end := 1 + int(r.first()&^0xe0); r.first()&0xe0 == 0xa0 && end <= len(r.data) { // most are short
		text = r.data[1:end:end]
		r.data = r.data[end:]
		return text, false, nil
	}
	text, err = r.content(strForms)
	return text, false, err
}

// contentForms are the codes of one family of values that consist of a length and bytes.
type contentForms struct{ fix, fixMask, code8 byte }

var (
	strForms = contentForms{fix: 0xa0, fixMask: 0xe0, code8: 0xd9}
	binForms = contentForms{code8: 0xc4} // without a short form
)

// content reads a string or bytes and returns the content without copying it. Lengths are
// compared as announced, before they are converted to int, which has 32 bits on some
// systems.
func (r *packReader) content(forms contentForms) ([]byte, error) {
	if len(r.data) == 0 {
		return nil, errEnd
	}
	var (
		head = 1
		n    uint64
	)
	switch code := r.data[0]; {
	case forms.fix != 0 && code&forms.fixMask == forms.fix:
		n = uint64(code &^ forms.fixMask)
	case forms.code8 <= code && code <= forms.code8+2:
		head += 1 << (code - forms.code8)
		if len(r.data) < head {
			return nil, errEnd
		}
		n = bigEndian(r.data[1:head])
	default:
		return nil, r.unexpected(nil)
	}
	if n > uint64(len(r.data)-head) {
		return nil, errEnd
	}
	end := head + int(n)
	content := r.data[head:end:end]
	r.data = r.data[end:]
	return content, nil
}

// validText returns b with a U+FFFD for each part that is not UTF-8, as .NET decodes it.
// An incomplete character is one part.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	text := make([]byte, 0, len(b)+utf8.UTFMax)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		text = utf8.AppendRune(text, r)
		for r == utf8.RuneError && n < len(b) && !utf8.FullRune(b[:n+1]) {
			n++
		}
		b = b[n:]
	}
	return string(text)
}

// float reads any number.
func (r *packReader) float() (float64, error) {
	if len(r.data) == 0 {
		return 0, errEnd
	}
	switch {
	case r.data[0] == 0xca && len(r.data) >= 5:
		f := math.Float32frombits(binary.BigEndian.Uint32(r.data[1:]))
		r.data = r.data[5:]
		return float64(f), nil
	case r.data[0] == 0xcb && len(r.data) >= 9:
		f := math.Float64frombits(binary.BigEndian.Uint64(r.data[1:]))
		r.data = r.data[9:]
		return f, nil
	case r.data[0] == 0xcf:
		n, err := r.uint()
		return float64(n), err
	}
	n, err := r.int()
	return float64(n), err
}

// value reads one value and returns it raw.
func (r *packReader) value() ([]byte, error) {
	start := r.data
	err := r.skip()
	return start[:len(start)-len(r.data)], err
}

// skip reads past one value.
func (r *packReader) skip() error {
	if len(r.data) == 0 {
		return errEnd
	}
	code := r.data[0]
	switch {
	case code < 0x80 || code >= 0xe0:
		return r.advance(1)
	case code < 0x90:
		return r.skipMany(1, 2*uint64(code&0x0f))
	case code < 0xa0:
		return r.skipMany(1, uint64(code&0x0f))
	case code < 0xc0:
		return r.advance(1 + uint64(code&0x1f))
	}
	form := packForms[code-0xc0]
	switch {
	case form.size == 0:
		return r.unexpected(nil)
	case len(r.data) < form.size:
		return errEnd
	}
	n := bigEndian(r.data[1 : 1+form.length])
	if form.elements > 0 {
		return r.skipElements(form.size, form.elements, n)
	}
	if n > math.MaxInt32 && code != 0xc9 { // except that .NET reads the length of an extension differently
		return errTooLong
	}
	return r.advance(uint64(form.size) + n)
}

// skipElements reads past n elements or pairs. .NET takes a length that is negative as an
// int as empty; a strict reader refuses it.
func (r *packReader) skipElements(header, each int, n uint64) error {
	if n > math.MaxInt32 {
		if r.strict {
			return errEnd
		}
		return r.advance(uint64(header))
	}
	return r.skipMany(header, uint64(each)*n)
}

// packForms describe the codes from 0xc0 to 0xdf: the number of bytes of the fixed part
// (0: no such code), how many of these are a length, and the number of values per unit of
// that length (0: bytes).
var packForms = [...]struct{ size, length, elements int }{
	{1, 0, 0}, {}, {1, 0, 0}, {1, 0, 0}, // nil, -, false, true
	{2, 1, 0}, {3, 2, 0}, {5, 4, 0}, // bin
	{3, 1, 0}, {4, 2, 0}, {6, 4, 0}, // ext
	{5, 0, 0}, {9, 0, 0}, // float
	{2, 0, 0}, {3, 0, 0}, {5, 0, 0}, {9, 0, 0}, {2, 0, 0}, {3, 0, 0}, {5, 0, 0}, {9, 0, 0}, // uint, int
	{3, 0, 0}, {4, 0, 0}, {6, 0, 0}, {10, 0, 0}, {18, 0, 0}, // fixext
	{2, 1, 0}, {3, 2, 0}, {5, 4, 0}, // str
	{3, 2, 1}, {5, 4, 1}, // array
	{3, 2, 2}, {5, 4, 2}, // map
}

func bigEndian(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *packReader) advance(n uint64) error {
	if uint64(len(r.data)) < n {
		return errEnd
	}
	r.data = r.data[n:]
	return nil
}

func (r *packReader) skipMany(header int, n uint64) error {
	if err := r.advance(uint64(header)); err != nil {
		return err
	}
	if err := r.enter(); err != nil {
		return err
	}
	for range n {
		if err := r.skip(); err != nil {
			return err
		}
	}
	r.depth--
	return nil
}

func (r *packReader) enter() error {
	if r.depth >= maxPackDepth {
		return errPackDeep
	}
	r.depth++
	return nil
}
