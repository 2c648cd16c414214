package protocol

import (
	"bytes"
	"strings"
	"testing"
)

func TestNextText(t *testing.T) {
	p := NewJSON(JSONOptions{})
	record, rest, err := p.Next([]byte("\x1ea\x1eb"), 0, 2)
	if err != nil || record == nil || len(record) != 0 || string(rest) != "a\x1eb" {
		t.Fatalf("%q %q %v", record, rest, err)
	}
	record, rest, err = p.Next(rest, 0, 2)
	if err != nil || string(record) != "a" || string(rest) != "b" {
		t.Fatalf("%q %q %v", record, rest, err)
	}
	record, rest, err = p.Next(rest, 0, 2)
	if err != nil || record != nil || string(rest) != "b" {
		t.Fatalf("%q %q %v", record, rest, err)
	}
	const fault = "InvalidDataException: The maximum message size of 2B was exceeded. The message size can be configured in AddHubOptions."
	for in, want := range map[string]string{"ab": "", "a\x1e": "", "ab\x1e": fault, "abc": fault} {
		if _, _, err := p.Next([]byte(in), 0, 2); text(err) != want {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestNextBinary(t *testing.T) {
	p := NewMessagePack()
	const (
		limit = "InvalidDataException: The maximum message size of 4B was exceeded. The message size can be configured in AddHubOptions."
		large = "FormatException: Messages over 2GB in size are not supported."
	)
	for _, c := range []struct{ buf, record, rest, fault string }{
		{"", "-", "", ""},
		{"00", "", "", ""},
		{"02 9106 02", "9106", "02", ""},
		{"8200 9106", "9106", "", ""},
		{"02 91", "-", "0291", ""},
		{"82", "-", "82", ""},
		{"03 010203", "010203", "", ""},
		{"04 01020304", "-", "0401020304", limit},
		{"04 010203", "-", "04010203", ""},
		{"ffffffff", "-", "ffffffff", ""},
	} {
		record, rest, err := p.Next(unhex(t, c.buf), 0, 4)
		if text(err) != c.fault || !bytes.Equal(rest, unhex(t, c.rest)) || (record == nil) != (c.record == "-") || record != nil && !bytes.Equal(record, unhex(t, c.record)) {
			t.Errorf("%s: %x, %x, %v", c.buf, record, rest, err)
		}
	}
	for buf, fault := range map[string]string{"ffffffff07 01": "", "ffffffff08 01": large, "ffffffffff 01": large} {
		if record, _, err := p.Next(unhex(t, buf), 0, 0); record != nil || text(err) != fault {
			t.Errorf("%s: %x, %v", buf, record, err)
		}
	}
}

func TestLengthPrefix(t *testing.T) {
	p := NewMessagePack()
	for _, n := range []int{0, 1, 100, 0x7f - 4, 0x80 - 4, 0x4000 - 5, 0x4000, 0x200000, 0x300000} {
		s := strings.Repeat("x", n)
		buf := p.AppendError([]byte("before"), "1", s)
		record, rest, err := p.Next(buf[len("before"):], 0, 0)
		var m Message
		if err != nil || len(rest) > 0 || p.Parse(record, &m) != nil || m.Error != s {
			t.Errorf("%d: %d, %d, %v", n, len(record), len(rest), err)
		}
	}
}

// What an earlier call has looked at is not looked at again, be there what may.
func TestNextIsLinear(t *testing.T) {
	const seen = len("a\x1eb")
	p := NewJSON(JSONOptions{})
	for _, next := range []func(buf []byte, limit int) (record, rest []byte, err error){
		func(buf []byte, limit int) ([]byte, []byte, error) { return p.Next(buf, seen, limit) },
		func(buf []byte, limit int) ([]byte, []byte, error) { return NextHandshake(buf, seen, limit) },
	} {
		if record, rest, err := next([]byte("a\x1ebc\x1ed"), 0); string(record) != "a\x1ebc" || string(rest) != "d" || err != nil {
			t.Errorf("%q, %q, %v", record, rest, err)
		}
		if record, _, err := next([]byte("a\x1ebc"), 4); record != nil || err != nil {
			t.Errorf("%q, %v", record, err)
		}
		if record, _, err := next([]byte("a\x1ebc"), 2); record != nil || err == nil {
			t.Errorf("%q, %v", record, err)
		}
	}
	packed := NewMessagePack().AppendPing(nil)
	if record, rest, err := NewMessagePack().Next(packed, 1, 0); len(record) != 2 || len(rest) > 0 || err != nil {
		t.Errorf("%q, %q, %v", record, rest, err)
	}
}
