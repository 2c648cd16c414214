package protocol

import (
	"testing"
	"time"
)

type complexObject struct {
	String    string
	IntArray  []int32
	ByteArray []byte
	ID        Guid
	DateTime  time.Time
}

var sample = complexObject{"hello world", []int32{1, 2, 3}, []byte{1, 2, 3}, Guid{1}, time.Date(2002, 4, 1, 10, 20, 15, 0, time.UTC)}

func protocols() []HubProtocol { return []HubProtocol{NewJSON(JSONOptions{}), NewMessagePack()} }

// record is one whole message without its framing.
func record(tb testing.TB, p HubProtocol, message []byte, err error) []byte {
	tb.Helper()
	r, rest, err2 := p.Next(message, 0, 0)
	if err != nil || err2 != nil || len(rest) > 0 {
		tb.Fatal(err, err2)
	}
	return r
}

// The paths that every message takes. What a message must keep, its id and a text that is decoded, is all that may be allocated.
func TestAllocations(t *testing.T) {
	for _, p := range protocols() {
		call, err := p.AppendInvocation(nil, "12345", "SendTimeToClients", nil, nil, "some text that is decoded", 5)
		call = record(t, p, call, err)
		buf := make([]byte, 0, 1024)
		var (
			m    Message
			s    string
			n    int
			args = []any{&s, &n}
			now  = []any{sample.DateTime}
			obj  = any(sample)
		)
		check := func(what string, most float64, f func() error) {
			t.Helper()
			err := f()
			if got := testing.AllocsPerRun(100, func() { err = f() }); got > most || err != nil {
				t.Errorf("%s: %s: %v allocations, %v", p.Name(), what, got, err)
			}
		}
		check("parse the same again", 0, func() error { return p.Parse(call, &m) })
		check("parse another", 1, func() error { m.InvocationID = ""; return p.Parse(call, &m) })
		check("bind", 1, func() error { return p.Bind(m.Arguments, args...) })
		check("append an invocation", 0, func() error {
			_, err := p.AppendInvocation(buf, "", "ShowTime", nil, nil, now...)
			return err
		})
		check("append a result", 0, func() error {
			_, err := p.AppendResult(buf, "12345", "text")
			return err
		})
		check("append an object", 0, func() error {
			_, err := p.AppendStreamItem(buf, "12345", obj)
			return err
		})
		check("append the rest", 0, func() error {
			p.AppendVoid(buf, "1")
			p.AppendError(buf, "1", "error")
			p.AppendCancel(buf, "1")
			p.AppendPing(buf)
			p.AppendClose(buf, "", true)
			p.AppendAck(buf, 1)
			return nil
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, p := range protocols() {
		b.Run(p.Name(), func(b *testing.B) {
			call, err := p.AppendInvocation(nil, "12345", "ShowTime", nil, nil, "2002-04-01T10:20:15Z")
			call = record(b, p, call, err)
			b.ReportAllocs()
			var m Message
			for b.Loop() {
				m.InvocationID = ""
				if err := p.Parse(call, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBind(b *testing.B) {
	for _, p := range protocols() {
		var (
			s string
			n int
			o complexObject
		)
		for name, targets := range map[string][]any{"text": {&s}, "int": {&n}, "object": {&o}} {
			b.Run(p.Name()+"/"+name, func(b *testing.B) {
				value := map[string]any{"text": "2002-04-01T10:20:15Z", "int": 12345, "object": sample}[name]
				call, err := p.AppendInvocation(nil, "1", "t", nil, nil, value)
				var m Message
				if err := p.Parse(record(b, p, call, err), &m); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := p.Bind(m.Arguments, targets...); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, p := range protocols() {
		for name, value := range map[string]any{"text": "2002-04-01T10:20:15Z", "time": sample.DateTime, "object": sample} {
			b.Run(p.Name()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				var buf []byte
				args := []any{value}
				for b.Loop() {
					var err error
					if buf, err = p.AppendInvocation(buf[:0], "", "ShowTime", nil, nil, args...); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
