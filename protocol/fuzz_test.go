package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"
)

// Whatever comes in, nothing panics, records are taken off the front, and what was read can be written.

var jsonSeeds = []string{
	`{"type":1,"invocationId":"1","target":"Echo","arguments":["x",5,null,{"a":[1.5e3]}],"streamIds":["s"],"headers":{"a":"b"}}`,
	`{"type":1,"target":"\u0045cho","arguments":["\ud83d\ude00",,true]}`,
	`{"type":2,"invocationId":"s","item":{"a":1}}`, `{"type":3,"invocationId":"1","result":null}`, `{"type":3,"invocationId":"1","error":"e"}`,
	`{"type":4,"invocationId":"1","target":"t","arguments":[]}`, `{"type":5,"invocationId":"1"}`, `{"type":6}`, `{"type":7,"error":"e","allowReconnect":true}`, `{"type":8,"sequenceId":1}`,
	`{"type":42}`, `{`, `[`, `nonsense`, ``,
}

var packSeeds = []string{
	"\x96\x01\x80\xa11\xa4Echo\x91\xa1x\x90", "\x96\x01\x81\xa1a\xa1b\xc0\xa4Echo\x92\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\x81\xa1a\x01\x91\xa1s", "\x94\x02\x80\xa11\xc3",
	"\x95\x03\x80\xa11\x03\xc0", "\x95\x03\x80\xa11\x01\xa1e", "\x94\x03\x80\xa11\x02", "\x93\x05\x80\xa11", "\x91\x06", "\x93\x07\xc0\xc3", "\x92\x08\x01",
	"\x96\x01\x80\xa11\xa4Echo\xdd\xff\xff\xff\xff\x90", "\xc1", "",
	"\x96\x01\x80\xc0\xa4Echo\x91\xc9\x80\x00\x00\x00\x01\x90", "\x96\x01\x80\xc0\xa4Echo\x91\xdb\x80\x00\x00\x00\x90", "\x96\x01\x80\xc0\xa4Echo\x91\xc6\x7f\xff\xff\xff\x90",
	"\x96\x01\x80\xc0\xa4Echo\xdd\x00\x00\x00\x01\xdf\x80\x00\x00\x00\x90", "\x92\x09\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "\x92\x08\xcf\x7f\xff\xff\xff\xff\xff\xff\xff",
}

func FuzzNext(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s+"\x1e{}\x1e"), 100)
	}
	for _, s := range packSeeds {
		f.Add(append([]byte{byte(len(s))}, s+"\x02\x91\x06"...), 100)
	}
	f.Fuzz(func(t *testing.T, buf []byte, limit int) {
		for _, p := range protocols() {
			for left := buf; ; {
				record, rest, err := p.Next(left, 0, limit)
				if err != nil || record == nil {
					if !bytes.Equal(rest, left) || limit > 0 && err == nil && len(left) > limit {
						t.Fatalf("%s: %x is left of %x", p.Name(), rest, left)
					}
					break
				}
				if len(rest) >= len(left) || !bytes.HasSuffix(left, rest) || limit > 0 && len(left)-len(rest) > limit {
					t.Fatalf("%s: %x is left of %x", p.Name(), rest, left)
				}
				left = rest
			}
		}
	})
}

type fuzzTargets struct {
	s  string
	n  int32
	f  float64
	b  []byte
	t  time.Time
	o  *complexObject
	m  map[string]any
	a  any
	an []any
}

func (x *fuzzTargets) all() []any {
	return []any{&x.a, &x.s, &x.n, &x.f, &x.b, &x.t, &x.o, &x.m, &x.an}
}

// fuzzParse parses, binds and decodes. What binds can be written and bound again.
func fuzzParse(t *testing.T, p HubProtocol, record []byte) {
	var m Message
	err := p.Parse(record, &m)
	if err != nil && asFault(err) == nil {
		t.Fatalf("%x: %T", record, err)
	}
	if err != nil {
		return
	}
	var x fuzzTargets
	for _, target := range x.all() {
		checkBindError(t, p.Bind(m.Arguments, target))
		_ = m.Outcome(p.Bind(m.Arguments, target, new(any)))
		err := p.Decode(m.Payload, target)
		var decode *DecodeError
		if err != nil && !errors.As(err, &decode) {
			t.Fatalf("%x: %T", m.Payload, err)
		}
		again, err := p.AppendInvocation(nil, "", "t", nil, nil, target)
		if err != nil {
			continue // infinity
		}
		record, rest, err := p.Next(again, 0, 0)
		if err != nil || len(rest) > 0 || p.Parse(record, &m) != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if err := p.Bind(m.Arguments, target); err != nil {
			t.Fatalf("%T: %q: %v", target, again, err)
		}
	}
}

func checkBindError(t *testing.T, err error) {
	t.Helper()
	var (
		count *CountError
		bind  *BindError
	)
	if err != nil && !errors.As(err, &count) && !errors.As(err, &bind) {
		t.Fatalf("%T", err)
	}
}

func FuzzJSONParse(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	p := NewJSON(JSONOptions{})
	f.Fuzz(func(t *testing.T, record []byte) { fuzzParse(t, p, record) })
}

func FuzzMessagePackParse(f *testing.F) {
	for _, s := range packSeeds {
		f.Add([]byte(s))
	}
	p := NewMessagePack()
	f.Fuzz(func(t *testing.T, record []byte) { fuzzParse(t, p, record) })
}

func FuzzBind(f *testing.F) {
	for _, s := range []string{`["x"]`, `[1]`, `[[1,{"a":null}]]`, `["2002-04-01T10:20:15.12+02:00"]`, "\x91\xa1x", "\x91\x01", "\x91\xd6\xff\x3c\xa8\x33\x3f", "\x91\x81\xa1a\xc0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, arguments []byte) {
		for _, p := range protocols() {
			var x fuzzTargets
			for _, target := range x.all() {
				checkBindError(t, p.Bind(arguments, target))
			}
		}
	})
}

func FuzzHandshake(f *testing.F) {
	for _, s := range []string{`{"protocol":"json","version":1}`, `{"error":"x"}`, `{"protocol":"é","version":-1,"x":[{}]}`, `{}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		if r, err := ParseHandshakeRequest(record); err == nil {
			again, _, err := NextHandshake(AppendHandshakeRequest(nil, r), 0, 0)
			if back, err2 := ParseHandshakeRequest(again); err != nil || err2 != nil || back != r {
				t.Fatalf("%s: %+v, %v, %v", again, back, err, err2)
			}
		}
		if s, err := ParseHandshakeResponse(record); err == nil {
			again, _, _ := NextHandshake(AppendHandshakeResponse(nil, s), 0, 0)
			if back, err := ParseHandshakeResponse(again); err != nil || back != s {
				t.Fatalf("%s: %s, %v", again, back, err)
			}
		}
	})
}

// Our reader agrees with encoding/json on what is JSON, and our writer with both.
func FuzzJSONRoundTrip(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e3,"\u0041\ud83d\ude00",null,true]}`, `"é\u2028\ufeff"`, `[]`, `1E400`, `01`, `[1,]`, ` 5 `, `nul`, "5\x00"} {
		f.Add([]byte(s))
	}
	p := NewJSON(JSONOptions{})
	f.Fuzz(func(t *testing.T, text []byte) {
		r := jsonReader{data: text}
		_, err := r.value()
		if err == nil {
			err = r.end()
		}
		if valid := json.Valid(text); valid != (err == nil) && (!valid || !deep(text)) {
			t.Fatalf("%q: %v, but encoding/json says %v", text, err, valid)
		}
		var v any
		if err != nil || p.Decode(text, &v) != nil {
			return
		}
		out, err := p.append(nil, v)
		if err != nil {
			return // infinity
		}
		var back any
		if err := p.Decode(out, &back); err != nil || !json.Valid(out) || !utf8.Valid(out) {
			t.Fatalf("%q: %v", out, err)
		}
		if again, _ := p.append(nil, back); !bytes.Equal(again, out) {
			t.Fatalf("%q, then %q", out, again)
		}
	})
}

// deep tells whether the text may nest deeper than ours reads.
func deep(text []byte) bool {
	return bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) > maxDepth
}
