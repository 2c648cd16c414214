package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

// A Raw is written verbatim in its own protocol, and as the same value in the other.
func TestRawInBothProtocols(t *testing.T) {
	for _, c := range []struct{ protocol, data, json, pack string }{
		{"json", `1`, `1`, "01"},
		{"json", `1.0`, `1.0`, "01"},
		{"json", `1e3`, `1e3`, "cd03e8"},
		{"json", `-7`, `-7`, "f9"},
		{"json", `9007199254740993`, `9007199254740993`, "cf0020000000000001"},
		{"json", `18446744073709551615`, `18446744073709551615`, "cfffffffffffffffff"},
		{"json", `1.5`, `1.5`, "cb3ff8000000000000"},
		{"json", `0.1000000000000000055`, `0.1000000000000000055`, "cb3fb999999999999a"},
		{"json", `1e400`, `1e400`, "a5" + hex.EncodeToString([]byte("1e400"))},
		{"json", ``, `null`, "c0"},
		{"json", ` null `, ` null `, "c0"},
		{"json", `{"b": [true, "é"], "a":{}}`, `{"b": [true, "é"], "a":{}}`, "82a16180a16292c3a2c3a9"},
		{"messagepack", "\x05", `5`, "05"},
		{"messagepack", "\xd3\x00\x00\x00\x00\x00\x00\x00\x05", `5`, "d30000000000000005"},
		{"messagepack", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", `18446744073709551615`, "cfffffffffffffffff"},
		{"messagepack", "\xca\x3d\xcc\xcc\xcd", `0.1`, "ca3dcccccd"},
		{"messagepack", "\xc4\x02\x01\x02", `"AQI="`, "c4020102"},
		{"messagepack", "\x82\xa1b\x90\x01\xc0", `{"1":null,"b":[]}`, "82a1629001c0"},
		{"messagepack", "\xd6\xff\x00\x00\x00\x00", `"1970-01-01T00:00:00Z"`, "d6ff00000000"},
		{"messagepack", "", `null`, "c0"},
	} {
		raw := Raw{c.protocol, []byte(c.data)}
		if got, err := NewJSON(JSONOptions{}).append(nil, raw); string(got) != c.json || err != nil {
			t.Errorf("%s %q: JSON %s, %v, want %s", c.protocol, c.data, got, err, c.json)
		}
		if got, err := NewMessagePack().append(nil, raw); hex.EncodeToString(got) != c.pack || err != nil {
			t.Errorf("%s %q: MessagePack %x, %v, want %s", c.protocol, c.data, got, err, c.pack)
		}
		nested := map[string]any{"x": []Raw{raw}}
		if got, err := NewJSON(JSONOptions{}).append(nil, nested); string(got) != `{"x":[`+c.json+`]}` || err != nil {
			t.Errorf("%s %q: nested %s, %v", c.protocol, c.data, got, err)
		}
	}
}

// Data that is not one value would break the message, so it is refused, and dst stays as it is.
func TestRawThatIsNotOneValue(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for _, raw := range []Raw{
		{"json", []byte(`1,2`)},
		{"json", []byte(`[1`)},
		{"json", []byte("1}\x1e{")},
		{"json", []byte("\"\xff\"")},
		{"json", []byte(" ")},
		{"json", []byte(deep)},
		{"messagepack", []byte("\x01\x01")},
		{"messagepack", []byte("\x92\x01")},
		{"messagepack", []byte("\xdd\xff\xff\xff\xff")},
		{"messagepack", []byte("\xc1")},
		{"messagepack", bytes.Repeat([]byte{0x91}, 1<<20)},
		{"xml", []byte("1")},
		{"", []byte("1")},
	} {
		for _, p := range []HubProtocol{NewJSON(JSONOptions{}), NewMessagePack()} {
			if raw.Protocol == "json" && string(raw.Data) == deep && p.Binary() {
				continue // MessagePack may be nested deeper
			}
			got, err := p.AppendInvocation([]byte("x"), "", "M", nil, nil, raw)
			if err == nil || asFault(err) == nil || string(got) != "x" {
				t.Errorf("%s: %s %.20q became %q, %v", p.Name(), raw.Protocol, raw.Data, got, err)
			}
		}
	}
}

func TestRawTakesTheBytes(t *testing.T) {
	text, binary := NewJSON(JSONOptions{}), NewMessagePack()
	record := []byte(`[ {"a": 1.50} , "x",[1 , 2],null]`)
	var first, third Raw
	var second string
	var fourth *Raw
	if err := text.Bind(record, &first, &second, &third, &fourth); err != nil {
		t.Fatal(err)
	}
	clear(record) // a copy is kept
	if want := (Raw{"json", []byte(`{"a": 1.50}`)}); !reflect.DeepEqual(first, want) || second != "x" || string(third.Data) != "[1 , 2]" || fourth != nil {
		t.Errorf("%q %q %q %v", first.Data, second, third.Data, fourth)
	}
	var all []Raw
	if err := binary.Decode([]byte("\x93\x01\x92\xc0\xc3\xa1a"), &all); err != nil {
		t.Fatal(err)
	}
	if want := []Raw{{"messagepack", []byte("\x01")}, {"messagepack", []byte("\x92\xc0\xc3")}, {"messagepack", []byte("\xa1a")}}; !reflect.DeepEqual(all, want) {
		t.Errorf("%q", all)
	}
	for p, malformed := range map[HubProtocol][]string{
		text:   {"\"\xff\"", "[1", "", "1 2"},
		binary: {"\x92\x01", "\xdd\xff\xff\xff\xff", "", "\xc1"},
	} {
		for _, data := range malformed {
			if err := p.Decode([]byte(data), new(Raw)); err == nil {
				t.Errorf("%s: %q is a value", p.Name(), data)
			}
		}
		if err := CheckDecode(p, rawType); err != nil || DecodesItself(rawType) {
			t.Errorf("%s: %v", p.Name(), err)
		}
	}
}

// Transcoding never panics, and what JSON becomes in MessagePack becomes an equal value again.
func FuzzRaw(f *testing.F) {
	for _, seed := range []string{`1`, `-0.0`, `1e22`, `[1,2.5,{"a":"é","b":null}]`, `"\ud83d\ude00"`, `18446744073709551615`, `{"a":1,"a":2}`, "\x82\xa1b\x90\x01\xc0", "\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		f.Add([]byte(seed))
	}
	text, binary := NewJSON(JSONOptions{}), NewMessagePack()
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := text.append(nil, Raw{"messagepack", data}); err == nil && !json.Valid(out) {
			t.Fatalf("%x became %q", data, out)
		}
		packed, err := binary.append(nil, Raw{"json", data})
		if err != nil || len(data) == 0 {
			return
		}
		again, err := text.append(nil, Raw{"messagepack", packed})
		if err != nil {
			if asFault(err) == text.encoders.tooDeep {
				return
			}
			t.Fatalf("%q became %x: %v", data, packed, err)
		}
		var before, after any
		if json.Unmarshal(data, &before) != nil { // a number that is too large for a float
			return
		}
		if err := json.Unmarshal(again, &after); err != nil || !alike(before, after) {
			t.Fatalf("%q became %x and %q: %v", data, packed, again, err)
		}
	})
}

// alike compares values of encoding/json, which has no difference between 0 and -0.
func alike(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	case []any:
		b, ok := b.([]any)
		ok = ok && len(a) == len(b)
		for i := 0; ok && i < len(a); i++ {
			ok = alike(a[i], b[i])
		}
		return ok
	case map[string]any:
		b, ok := b.(map[string]any)
		ok = ok && len(a) == len(b)
		for k := range a {
			ok = ok && alike(a[k], b[k])
		}
		return ok
	}
	return a == b
}
