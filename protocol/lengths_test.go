package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"
)

// longCodes are the MessagePack codes that a length of 32 bits follows.
var longCodes = map[byte]string{0xc6: "bin 32", 0xc9: "ext 32", 0xdb: "str 32", 0xdd: "array 32", 0xdf: "map 32"}

// announced are values that say that they are far longer than what follows, alone and within others.
func announced() map[string][]byte {
	values := map[string][]byte{}
	for code, name := range longCodes {
		for _, n := range []uint32{math.MaxInt32 - 6, math.MaxInt32, math.MaxInt32 + 1, math.MaxInt32 + 2, math.MaxUint32 - 6, math.MaxUint32 - 5, math.MaxUint32} {
			value := binary.BigEndian.AppendUint32([]byte{code}, n)
			value = append(value, 0xff, 1, 2, 3, 4, 5, 6, 7)
			for _, around := range []string{"", "\x91", "\x81", "\x81\xa1B", "\xdd\x00\x00\x00\x01"} {
				values[fmt.Sprintf("%s of %d in %q", name, n, around)] = append([]byte(around), value...)
			}
		}
	}
	return values
}

// Lengths that do not fit into an int of 32 bits neither panic nor make room for what is not there.
func TestMessagePackAnnouncedLengths(t *testing.T) {
	p := NewMessagePack()
	type object struct {
		B []byte
		S string
		L []any
		G generated
		T time.Time
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, value := range announced() {
		t.Run(name, func(t *testing.T) {
			for _, target := range []any{
				new(any), new(string), new([]byte), new([]any), new([]int32), new([4]int32), new(map[string]any), new(map[int]string), new(object), new(*object),
				new(time.Time), new(int64), new(float64), new(Guid), new(generated),
			} {
				// Whether it decodes is another test's matter: .NET takes some arrays of such lengths for empty ones.
				_ = p.Decode(value, target)
				_ = p.Bind(append([]byte{0x91}, value...), target)
			}
			for _, head := range []string{"\x96\x01", "\x96\x01\x80\xc0\xa4Echo", "\x95\x03\x80\xa11\x03", "\x94\x02\x80\xa11", "\x92\x09", "\x93\x07", "\x95\x03", "\x96\x01\x80\xc0\xa4Echo\x90"} {
				var m Message
				if p.Parse(append([]byte(head), value...), &m) == nil {
					_ = m.Outcome(p.Bind(m.Arguments, new(any)))
					_ = m.Outcome(ErrUnknown)
				}
			}
		})
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

// What no value has room for is an error in every system's int.
func TestTimeSpanBounds(t *testing.T) {
	p := NewJSON(JSONOptions{})
	for text, want := range map[string]time.Duration{
		"106751.23:47:16.8547758":     math.MaxInt64 / tick * tick,
		"-106751.23:47:16.8547758":    math.MinInt64 / tick * tick,
		"24855.00:00:00":              24855 * 24 * time.Hour,
		"-24856.00:00:00":             -24856 * 24 * time.Hour,
		"106751.23:47:16.8547759":     -1,
		"106751.23:59:59.9999999":     -1,
		"-106751.23:59:59.9999999":    -1,
		"10675199.02:48:05.4775807":   -1, // TimeSpan.MaxValue
		"-10675199.02:48:05.4775808":  -1,
		"999999999999999999.00:00:00": -1,
	} {
		var d time.Duration
		err := p.Decode([]byte(`"`+text+`"`), &d)
		if (want == -1) != (err != nil) || err == nil && d != want {
			t.Errorf("%s: %v, %v, want %v", text, d, err, want)
		}
	}
}
