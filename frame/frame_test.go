package frame

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestWebSocket(t *testing.T) {
	for _, c := range []struct {
		length int
		binary bool
		header []byte
	}{
		{0, false, []byte{0x81, 0}},
		{125, true, []byte{0x82, 125}},
		{126, false, []byte{0x81, 126, 0, 126}},
		{65535, false, []byte{0x81, 126, 0xff, 0xff}},
		{65536, true, []byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	} {
		payload := bytes.Repeat([]byte{'x'}, c.length)
		f := New(payload, c.binary)
		if got, want := f.WebSocket(), slices.Concat(c.header, payload); !bytes.Equal(got, want) {
			t.Errorf("%d bytes: header % x", c.length, got[:len(got)-c.length])
		}
		if first, again := f.WebSocket(), f.WebSocket(); &first[0] != &again[0] {
			t.Error("framed twice")
		}
	}
}

func TestEventStream(t *testing.T) {
	for payload, want := range map[string]string{
		"":               "data: \r\n\r\n",
		"{}\x1e":         "data: {}\x1e\r\n\r\n",
		"a\nb\r\nc\rd\n": "data: a\r\ndata: b\r\ndata: c\rd\r\ndata: \r\n\r\n",
	} {
		if got := string(New([]byte(payload), false).EventStream()); got != want {
			t.Errorf("%q: got %q, want %q", payload, got, want)
		}
	}
}

// A broadcast frames once, whatever the number of connections.
func TestFramingIsShared(t *testing.T) {
	f := New([]byte(strings.Repeat("x", 100)), false)
	f.WebSocket()
	f.EventStream()
	if n := testing.AllocsPerRun(100, func() { f.WebSocket(); f.EventStream() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
