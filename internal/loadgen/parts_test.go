package loadgen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

func TestHistogram(t *testing.T) {
	var a, b histogram
	for i := 1; i <= 1000; i++ {
		h := &a
		if i%2 == 0 {
			h = &b
		}
		h.add(time.Duration(i) * time.Millisecond)
	}
	a.merge(&b)
	for q, want := range map[float64]float64{0.5: 500, 0.99: 990, 0.999: 999} {
		if got := float64(a.quantile(q)) / 1e6; math.Abs(got-want) > want*0.02+1 {
			t.Errorf("quantile %v: %v ms", q, got)
		}
	}
	if l := latencyOf(&a); l.Max != 1e6 || l.Count != 1000 || l.Mean != 500500 {
		t.Errorf("%+v", l)
	}
	if a.add(-5); a.max != int64(time.Second) {
		t.Error("a clock that is ahead changes the largest value")
	}
	for _, v := range []int64{0, 1, 63, 64, 65, 1 << 20, math.MaxInt64} {
		if got := valueOf(stepOf(v)); math.Abs(float64(got-v)) > float64(v)/60 {
			t.Errorf("%d is counted as %d", v, got)
		}
	}
}

func TestTimeOfAMessage(t *testing.T) {
	packed := protocol.NewMessagePack()
	whole := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	broken := whole.Add(123456700)
	for _, when := range []time.Time{whole, broken, time.Date(2600, 1, 2, 3, 4, 5, 0, time.UTC)} {
		record, err := packed.AppendInvocation(nil, "", "ShowTime", nil, nil, when)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := sentAt(record, true); !ok || !got.Equal(when) {
			t.Errorf("%v, %v in % x", got, ok, record)
		}
	}
	for text, want := range map[string]time.Time{
		`{"arguments":["2026-01-02T03:04:05Z"]}`:                   whole,
		`{"arguments":[2020,"2026-01-02T03:04:05.1234567Z"]}`:      broken,
		`{"arguments":["2026-01-02T05:04:05.1234567+02:00"]}`:      broken,
		`{"arguments":["20xx-01-02T","2026-01-02T03:04:05.0Z",1]}`: whole,
	} {
		if got, ok := sentAt([]byte(text), false); !ok || !got.Equal(want) {
			t.Errorf("%v, %v in %s", got, ok, text)
		}
	}
	for _, text := range []string{"", "20", `["2026-01-02T03:04:05`, `["2026-01-02T03:04:05.123`, `["20ab-cd-efTgh:ij:klZ"]`} {
		if got, ok := sentAt([]byte(text), true); ok {
			t.Errorf("%v in %s", got, text)
		}
	}
}

// What the fast paths read is what the protocol's parser reads.
func TestFastPathsAgreeWithTheParser(t *testing.T) {
	for _, name := range []string{"json", "messagepack"} {
		m, err := newMessages(Options{Protocol: name})
		if err != nil {
			t.Fatal(err)
		}
		result, err := m.protocol.AppendResult(nil, "17", "x")
		if err != nil {
			t.Fatal(err)
		}
		call, err := m.protocol.AppendInvocation(nil, "", "M", nil, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range [][]byte{
			result, call, m.protocol.AppendPing(nil), m.protocol.AppendVoid(nil, "3"),
			m.protocol.AppendError(nil, "4", "bad"), m.protocol.AppendClose(nil, "bye", false),
		} {
			record, rest, err := m.next(message)
			if err != nil || record == nil || len(rest) > 0 {
				t.Fatalf("%q: %q, %q, %v", message, record, rest, err)
			}
			var s scratch
			fast, fastSlot, fastErr := m.classify(record, &s)
			slow, slowSlot, slowErr := m.parse(record, &s)
			if fast != slow || fastSlot != slowSlot || (fastErr == nil) != (slowErr == nil) {
				t.Errorf("%q: %v %v %v, by the parser %v %v %v", record, fast, fastSlot, fastErr, slow, slowSlot, slowErr)
			}
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("{\"type\":3,\"invocationId\":\"1\",\"result\":1}\x1e"), false)
	f.Add([]byte{6, 0x95, 3, 0x80, 0xa1, '1', 3, 1}, true)
	f.Add([]byte(`["2026-01-02T03:04:05.1+02:00"]`), true)
	f.Fuzz(func(_ *testing.T, data []byte, binary bool) {
		o := Options{Protocol: "json"}
		if binary {
			o.Protocol = "messagepack"
		}
		m, _ := newMessages(o)
		var s scratch
		for {
			record, rest, err := m.next(data)
			if err != nil || record == nil {
				return
			}
			_, _, _ = m.classify(record, &s)
			_, _ = sentAt(record, binary)
			data = rest
		}
	})
}

// TestFrameLengths: a length of 64 bits is compared as such, not as an int of 32 bits.
func TestFrameLengths(t *testing.T) {
	for _, length := range []uint64{longestBody + 1, 1 << 31, 1 << 32, 1<<32 + 1, 1 << 63, 1<<63 + 1<<32, 1<<64 - 1} {
		w := &webSocket{httpConn: &httpConn{r: bufio.NewReader(bytes.NewReader(binary.BigEndian.AppendUint64([]byte{0x82, 127}, length)))}}
		if _, n, err := w.frameHead(); err == nil {
			t.Errorf("a frame of %d bytes was taken for %d", length, n)
		}
	}
}
