package websockets

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// record gathers what a decoder hands on.
type record struct {
	text     bytes.Buffer
	pieces   int
	controls []string
}

func (r *record) data(b []byte, _ bool) { r.text.Write(b); r.pieces++ }
func (r *record) control(opcode byte, b []byte) {
	r.controls = append(r.controls, string(rune('0'+opcode))+string(b))
}

// clientFrame is a masked frame as a client sends it.
func clientFrame(first byte, payload string) []byte {
	key := [4]byte{0x11, 0x22, 0x33, 0x44}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i&3])
	}
	return b
}

// feed decodes input in reads of size bytes through a buffer of room bytes.
func feed(input []byte, size, room int, h handler) error {
	var d decoder
	buf, have := make([]byte, room), 0
	for len(input) > 0 {
		n := copy(buf[have:min(room, have+size)], input)
		input, have = input[n:], have+n
		rest, err := d.decode(buf[:have], have == room, h)
		if err != nil {
			return err
		}
		have = copy(buf, rest)
	}
	return nil
}

func TestDecode(t *testing.T) {
	long := strings.Repeat("ž", 40_000)
	input := bytes.Join([][]byte{
		clientFrame(0x81, "one"), clientFrame(0x89, "ping"), clientFrame(0x81, ""),
		clientFrame(0x01, "tw\xc5"), clientFrame(0x8a, ""), clientFrame(0x80, "\xbe"),
		clientFrame(0x82, "\xff\xfe"), clientFrame(0x81, long),
	}, nil)
	for _, size := range []int{1, 2, 3, 7, 100, 1000, len(input)} {
		for _, room := range []int{5, 64, len(input)} {
			var got record
			if err := feed(input, size, room, &got); err != nil {
				t.Fatalf("reads of %d, buffer of %d: %v", size, room, err)
			}
			if want := "onetwž\xff\xfe" + long; got.text.String() != want {
				t.Errorf("reads of %d, buffer of %d: %d bytes, want %d", size, room, got.text.Len(), len(want))
			}
			if got := strings.Join(got.controls, " "); got != "9ping :" {
				t.Errorf("control frames %q", got)
			}
		}
	}
}

// A frame that fits the buffer is handed on when it is whole.
func TestDecodeWholeFrames(t *testing.T) {
	var got record
	if err := feed(clientFrame(0x81, "whole"), 1, 64, &got); err != nil || got.pieces != 1 {
		t.Errorf("%d pieces, %v", got.pieces, err)
	}
	got = record{}
	cut := clientFrame(0x81, "not whole")
	if err := feed(cut[:len(cut)-1], 1, 64, &got); err != nil || got.pieces != 0 {
		t.Errorf("%d pieces of a frame whose end is missing, %v", got.pieces, err)
	}
}

// The codes are what the original answered.
func TestViolations(t *testing.T) {
	unmasked := []byte{0x81, 1, 'x'}
	for name, c := range map[string]struct {
		input []byte
		want  error
	}{
		"not masked":             {unmasked, violation(closeProtocol)},
		"RSV1":                   {clientFrame(0xc1, "x"), violation(closeProtocol)},
		"RSV2":                   {clientFrame(0xa1, "x"), violation(closeProtocol)},
		"RSV3":                   {clientFrame(0x91, "x"), violation(closeProtocol)},
		"opcode 3":               {clientFrame(0x83, "x"), violation(closeProtocol)},
		"opcode 11":              {clientFrame(0x8b, "x"), violation(closeProtocol)},
		"continuation":           {clientFrame(0x80, "x"), violation(closeProtocol)},
		"text in text":           {append(clientFrame(0x01, "x"), clientFrame(0x81, "y")...), violation(closeProtocol)},
		"long ping":              {clientFrame(0x89, strings.Repeat("x", 126)), violation(closeProtocol)},
		"ping in fragments":      {clientFrame(0x09, "x"), violation(closeProtocol)},
		"length of 64 bits":      {append([]byte{0x81, 0xff}, bytes.Repeat([]byte{0xff}, 12)...), violation(closeProtocol)},
		"no UTF-8":               {clientFrame(0x81, "\xff"), violation(closeNotText)},
		"overlong":               {clientFrame(0x81, "\xc0\x80"), violation(closeNotText)},
		"surrogate":              {clientFrame(0x81, "\xed\xa0\x80"), violation(closeNotText)},
		"beyond Unicode":         {clientFrame(0x81, "\xf4\x90\x80\x80"), violation(closeNotText)},
		"cut character":          {clientFrame(0x81, "\xe2\x82"), violation(closeNotText)},
		"close":                  {clientFrame(0x88, ""), errClosed},
		"close with a reason":    {clientFrame(0x88, "\x03\xe8bye"), errClosed},
		"close 1014":             {clientFrame(0x88, "\x03\xf6"), errClosed},
		"close 4999":             {clientFrame(0x88, "\x13\x87"), errClosed},
		"close of one byte":      {clientFrame(0x88, "\x03"), errBadClose},
		"close 999":              {clientFrame(0x88, "\x03\xe7"), errBadClose},
		"close 1005":             {clientFrame(0x88, "\x03\xed"), errBadClose},
		"close 1015":             {clientFrame(0x88, "\x03\xf7"), errBadClose},
		"close 5000":             {clientFrame(0x88, "\x13\x88"), errBadClose},
		"close with no UTF-8":    {clientFrame(0x88, "\x03\xe8\xff"), errBadClose},
		"text after a violation": {append(clientFrame(0x83, "x"), clientFrame(0x81, "y")...), violation(closeProtocol)},
	} {
		for _, size := range []int{1, 5, len(c.input)} {
			var got record
			if err := feed(c.input, size, 200, &got); !errors.Is(err, c.want) {
				t.Errorf("%s, reads of %d: %v, want %v", name, size, err, c.want)
			}
		}
	}
}

// However the bytes come, what is handed on and how it ends is the same, and nothing
// panics.
func FuzzDecode(f *testing.F) {
	f.Add(clientFrame(0x81, "text"), uint8(3))
	f.Add(append(clientFrame(0x01, "a\xc5"), clientFrame(0x80, "\xbe")...), uint8(1))
	f.Add(append(clientFrame(0x82, "\xff"), clientFrame(0x88, "\x03\xe8")...), uint8(4))
	f.Add(clientFrame(0x89, strings.Repeat("x", 125)), uint8(9))
	f.Add(clientFrame(0x81, strings.Repeat("x", 300)), uint8(100))
	f.Add([]byte{0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5}, uint8(2))
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		var whole, pieces, small record
		room, step := len(input)+1, max(int(size), 1)
		wholeErr, err := feed(input, room, room, &whole), feed(input, step, room, &pieces)
		if !errors.Is(err, wholeErr) {
			t.Errorf("ends with %v or %v", wholeErr, err)
		}
		if !bytes.Equal(whole.text.Bytes(), pieces.text.Bytes()) {
			t.Errorf("hands on %q or %q", whole.text.Bytes(), pieces.text.Bytes())
		}
		if strings.Join(whole.controls, " ") != strings.Join(pieces.controls, " ") {
			t.Errorf("control frames %q or %q", whole.controls, pieces.controls)
		}
		// A buffer that fills hands on the beginning of a frame too, if it is one of data.
		if err := feed(input, step, max(step, maxControl), &small); err == nil && !bytes.HasPrefix(small.text.Bytes(), whole.text.Bytes()) {
			t.Errorf("a small buffer hands on %q, a large one %q", small.text.Bytes(), whole.text.Bytes())
		}
	})
}

// The checker agrees with the library about text in any pieces.
func FuzzTextChecker(f *testing.F) {
	f.Add([]byte("žluťoučký 😀"), uint8(3))
	f.Add([]byte("\xe2\x82"), uint8(1))
	f.Add([]byte("\xed\xa0\x80"), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		var c textChecker
		valid := true
		for rest := text; valid && len(rest) > 0; {
			n := min(len(rest), max(int(size), 1))
			valid = c.add(rest[:n])
			rest = rest[n:]
		}
		if valid = valid && c.end(); valid != utf8.Valid(text) {
			t.Errorf("%q in pieces of %d is text: %v", text, size, valid)
		}
	})
}
