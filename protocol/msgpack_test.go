package protocol

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessagePackFaults(t *testing.T) {
	p := NewMessagePack()
	const cut = "EndOfStreamException: Attempted to read past the end of the stream."
	code := func(s string) string {
		return "MessagePackSerializationException: Unexpected msgpack code " + s + " encountered."
	}
	for _, c := range []struct{ record, fault string }{
		{"", cut},
		{"91", cut},
		{"dc", cut},
		{"dd000000", cut},
		{"92 06", cut},
		{"a0", code("160 (fixstr)")},
		{"c0", code("192 (nil)")},
		{"c1", code("193 ((never used))")},
		{"06", code("6 (positive fixint)")},
		{"ff", code("255 (negative fixint)")},
		{"80", code("128 (fixmap)")},
		{"c7", code("199 (ext 8)")},
		{"db ffffffff", code("219 (str 32)")},
		{"df 00000000", code("223 (map 32)")},
		{"90", "InvalidDataException: Reading 'messageType' as Int32 failed."},
		{"91 a0", "InvalidDataException: Reading 'messageType' as Int32 failed."},
		{"91 cd06", "InvalidDataException: Reading 'messageType' as Int32 failed."},
		{"91 cf0000000100000000", "InvalidDataException: Reading 'messageType' as Int32 failed."},
		{"91 01", "InvalidDataException: Reading map length for 'headers' failed."},
		{"96 01 c0 a131 a454657874 90 90", "InvalidDataException: Reading map length for 'headers' failed."},
		{"96 01 82 a131 a131 a131", "InvalidDataException: Reading map length for 'headers' failed."},
		{"92 01 82 a131 a131 05", "InvalidDataException: Reading 'headers[1].Key' as String failed."},
		{"92 01 81 a131 a1", "InvalidDataException: Reading 'headers[0].Value' as String failed."},
		{"92 01 81 a0 a0", "InvalidDataException: Null or empty key in header."},
		{"96 01 81 a131 c0 a131 a454657874 91a178 90", "InvalidDataException: Null or empty value in header."},
		{"96 01 82 a131 a131 a131 a132 a131 a454657874 90 90", "ArgumentException: An item with the same key has already been added. Key: 1"},
		{"92 01 80", "InvalidDataException: Reading 'invocationId' as String failed."},
		{"96 01 80 c40131 a454657874 90 90", "InvalidDataException: Reading 'invocationId' as String failed."},
		{"93 01 80 a131", "InvalidDataException: Reading 'target' as String failed."},
		{"96 01 80 a131 c0 90 90", "InvalidDataException: Null or empty target for Invocation message."},
		{"96 04 80 a131 a0 90 90", "InvalidDataException: Null or empty target for StreamInvocation message."},
		{"96 04 80 c0 a3416e79 90 90", "InvalidDataException: Null or empty invocation ID for StreamInvocation message."},
		{"94 02 80 c0 05", "InvalidDataException: Null or empty invocation ID for StreamItem message."},
		{"95 03 80 a0 03 05", "InvalidDataException: Null or empty invocation ID for Completion message."},
		{"93 03 80 a131", "InvalidDataException: Reading 'resultKind' as Int32 failed."},
		{"95 03 80 a131 04 05", "InvalidDataException: Invalid invocation result kind."},
		{"95 03 80 a131 01 05", "InvalidDataException: Reading 'error' as String failed."},
		{"93 05 80 c0", "InvalidDataException: Null or empty invocation ID for CancelInvocation message."},
		{"91 07", "InvalidDataException: Reading 'error' as String failed."},
		{"93 07 a178 05", "InvalidDataException: Reading 'allowReconnect' as Boolean failed."},
		{"91 08", "InvalidDataException: Reading 'sequenceId' as Int64 failed."},
		{"92 09 cfffffffffffffffff", "InvalidDataException: Reading 'sequenceId' as Int64 failed."},
	} {
		var fault *Fault
		err := p.Parse(unhex(t, c.record), new(Message))
		if !errors.As(err, &fault) || err.Error() != c.fault {
			t.Errorf("%s: %v, want %s", c.record, err, c.fault)
		}
	}
}

func TestMessagePackAccepts(t *testing.T) {
	p := NewMessagePack()
	for record, typ := range map[string]MessageType{
		"91 06": Ping, "93 06 80 01": Ping, "91 06 01 02": Ping, "dc0001 06": Ping, "91 d200000006": Ping,
		"93 2a 80 a178": 42, "91 00": 0, "91 ff": -1,
		"92 07 c0": Close, "93 07 a178 c3": Close,
		"94 02 80 a27a7a c1": StreamItem, "93 02 80 a27a7a": StreamItem,
		"95 01 80 a131 a4 4563686f 91 a178": Invocation, "94 01 80 a131 a4 4563686f": Invocation, "96 01 80 a131 a4 4563686f c1": Invocation,
	} {
		var m Message
		if err := p.Parse(unhex(t, record), &m); err != nil || m.Type != typ {
			t.Errorf("%s: type %d, %v", record, m.Type, err)
		}
	}
}

func TestMessagePackOutcome(t *testing.T) {
	p := NewMessagePack()
	bind := (&BindError{}).Error()
	const arguments = "Reading array length for 'arguments' failed."
	for _, c := range []struct{ record, unknown, bound string }{
		{"96 01 80 a131 a454657874 91 a178 90", ErrUnknown.Error(), ""},
		{"96 01 80 a131 a454657874 91 a178 c0", ErrUnknown.Error(), "InvalidDataException: Reading array length for 'streamIds' failed."},
		{"96 01 80 a131 a454657874 91 a178 91 05", ErrUnknown.Error(), "MessagePackSerializationException: Unexpected msgpack code 5 (positive fixint) encountered."},
		{"96 01 80 a131 a454657874 91 a178 91 c0", ErrUnknown.Error(), "InvalidDataException: Null or empty value in streamIds received."},
		{"96 01 80 a131 a454657874 91 05 c0", ErrUnknown.Error(), bind},
		{"96 01 80 a131 a454657874 91 c1 90", ErrUnknown.Error(), bind},
		{"96 01 80 a131 a454657874 92 a178 05 90", ErrUnknown.Error(), "Invocation provides 2 argument(s) but target expects 1."},
		{"96 01 80 a131 a454657874 ddffffffff 90", ErrUnknown.Error(), arguments},
		{"94 01 80 a131 a454657874", ErrUnknown.Error(), arguments},
		{"96 01 80 a131 a454657874 c0 90", ErrUnknown.Error(), arguments},
	} {
		var m Message
		if err := p.Parse(unhex(t, c.record), &m); err != nil {
			t.Errorf("%s: %v", c.record, err)
			continue
		}
		if got := text(m.Outcome(ErrUnknown)); got != c.unknown {
			t.Errorf("%s: unknown target: %s, want %s", c.record, got, c.unknown)
		}
		var s string
		if got := text(m.Outcome(p.Bind(m.Arguments, &s))); got != c.bound {
			t.Errorf("%s: bound: %s, want %s", c.record, got, c.bound)
		}
	}
	for record, fault := range map[string]string{
		"95 03 80 a27a7a 03 c1":             "MessagePackSerializationException: Unexpected msgpack code 193 ((never used)) encountered.",
		"95 03 80 a27a7a 03 dbffffffff":     "ArgumentOutOfRangeException: Specified argument was out of the range of valid values. (Parameter 'count')",
		"95 03 80 a27a7a 03 c9ffffffff01":   "EndOfStreamException: Attempted to read past the end of the stream.",
		"95 03 80 a27a7a 03 dd7fffffff":     "EndOfStreamException: Attempted to read past the end of the stream.",
		"94 03 80 a27a7a 03":                "EndOfStreamException: Attempted to read past the end of the stream.",
		"95 03 80 a27a7a 03 ddffffffff":     ErrUnknown.Error(),
		"95 03 80 a27a7a 03 d6ff00000000":   ErrUnknown.Error(),
		"95 03 80 a27a7a 03 8193c0c2c30190": ErrUnknown.Error(),
	} {
		var m Message
		if err := p.Parse(unhex(t, record), &m); err != nil || text(m.Outcome(ErrUnknown)) != fault {
			t.Errorf("%s: %v, %v", record, err, m.Outcome(ErrUnknown))
		}
	}
}

func TestMessagePackDecode(t *testing.T) {
	p := NewMessagePack()
	var n int32
	err := p.Decode(unhex(t, "a178"), &n)
	var decode *DecodeError
	if !errors.As(err, &decode) || decode.Error() != "Deserializing object of the `Int32` type for 'item' failed." || decode.ErrorType() != "InvalidDataException" ||
		decode.ResultText() != "Error trying to deserialize result to Int32. Deserializing object of the `Int32` type for 'argument' failed." {
		t.Errorf("%v", err)
	}
	type object struct {
		Name  string
		Value int32
		Own   int `msgpack:"own,omitempty"`
	}
	refused := "refused"
	for _, c := range []struct {
		target     any
		raw, value string
	}{
		{new(int32), "cf0000000000000005", "5"}, {new(int32), "d3ffffffffffffffff", "-1"}, {new(int32), "cf0000000100000000", refused},
		{new(int32), "cb3ff0000000000000", refused}, {new(int32), "c0", refused}, {new(int32), "c3", refused}, {new(int32), "a135", refused},
		{new(uint8), "ccff", "255"}, {new(uint8), "cd0100", refused}, {new(uint8), "ff", refused}, {new(int64), "cfffffffffffffffff", refused},
		{new(float64), "01", "1"}, {new(float64), "ca3f800000", "1"}, {new(float64), "cb3ff8000000000000", "1.5"}, {new(float64), "ff", "-1"},
		{new(float64), "cfffffffffffffffff", "1.8446744073709552E+19"}, {new(float64), "a131", refused}, {new(float64), "ca3f80", refused},
		{new(string), "a178", `"x"`}, {new(string), "d90178", `"x"`}, {new(string), "c0", `""`}, {new(string), "c40178", refused}, {new(string), "a2fffe", "\"\uFFFD\uFFFD\""},
		{new(string), "a5e28241e282", "\"\uFFFDA\uFFFD\""}, {new(string), "a6f09f98f09f98", "\"\uFFFD\uFFFD\""}, {new(string), "a3eda080", "\"\uFFFD\uFFFD\uFFFD\""}, {new(string), "a2c080", "\"\uFFFD\uFFFD\""},
		{new(string), "a4f1808041", "\"\uFFFDA\""}, {new(string), "a3f09f98", "\"\uFFFD\""}, {new(string), "a4f09f9880", `"\uD83D\uDE00"`}, {new(string), "a3efbfbd", "\"\uFFFD\""},
		{new(*string), "c0", "null"}, {new(*string), "a0", `""`}, {new(*int32), "c0", "null"},
		{new(bool), "c2", "false"}, {new(bool), "c0", refused}, {new(bool), "01", refused},
		{new([]byte), "c40201ff", `"Af8="`}, {new([]byte), "a178", `"eA=="`}, {new([]byte), "920102", `"AQI="`}, {new([]byte), "c0", "null"}, {new([]byte), "91cd0100", refused},
		{new(struct{ B []byte }), "81a142 a178", `{"b":"eA=="}`}, {new(struct{ B []byte }), "81a142 c0", `{"b":null}`}, {new(struct{ B []byte }), "81a142 9101", refused},
		{new([]int32), "920102", "[1,2]"}, {new([]int32), "c0", "null"}, {new([]int32), "90", "[]"}, {new([]int32), "9101c0", "[1]"}, {new([]int32), "91c0", refused}, {new([]int32), "8101", refused},
		{new([2]int32), "920102", "[1,2]"}, {new([2]int32), "9101", refused},
		{new(map[string]int32), "82a161 01 a162 02", `{"a":1,"b":2}`}, {new(map[string]int32), "c0", "null"}, {new(map[string]int32), "90", refused},
		{new(map[int32]string), "8101a161", `{"1":"a"}`},
		{new(object), "80", `{"name":"","value":0,"own":0}`}, {new(object), "c0", refused}, {new(object), "90", refused}, {new(object), "81c001", refused}, {new(object), "810501", refused},
		{new(object), "82a44e616d65a16ea556616c75650c", `{"name":"n","value":12,"own":0}`}, {new(object), "82a46e616d65a16ea36f776e07", `{"name":"","value":0,"own":7}`},
		{new(object), "82a556616c756501a556616c756502", `{"name":"","value":2,"own":0}`}, {new(object), "81a556616c7565c0", refused}, {new(*object), "c0", "null"},
		{new(Guid), "d92430303031303230332D303430352D303630372D303730362D303530343033303230313046", `"00010203-0405-0607-0706-05040302010f"`},
		{new(Guid), "c41000010203040506070706050403020100", refused}, {new(Guid), "c0", refused}, {new(Guid), "d9203030303130323033303430353036303730373036303530343033303230313030", refused},
		{new(any), "01", "1"}, {new(any), "c0", "null"}, {new(any), "82a161 c3 02 a162", `{"2":"b","a":true}`}, {new(any), "c1", refused}, {new(any), "d60100000000", refused},
		{new(any), "d6ff3ca8333f", `"2002-04-01T10:15:27Z"`}, {new(any), "9291c40100", refused}, {new(any), "9291c4010003", `[["AA=="],3]`}, {new(any), "cfffffffffffffffff", "18446744073709551615"},
		{new(any), strings.Repeat("91", 600) + "01", refused},
	} {
		err := p.Decode(unhex(t, c.raw), c.target)
		got := refused
		if err == nil {
			b, err := NewJSON(JSONOptions{}).append(nil, c.target)
			got = string(b) + text(err)
		}
		if got != c.value {
			t.Errorf("%s into %T: %s (%v), want %s", c.raw, c.target, got, err, c.value)
		}
	}
}

// generated reads itself as the methods do that msgp generates.
type generated []int

// UnmarshalMsg implements msgp.Unmarshaler.
func (g *generated) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return b, err
	}
	if int(n) > len(b) {
		panic("it makes room for what is not there")
	}
	*g = make(generated, n)
	for i := range *g {
		if (*g)[i], b, err = msgp.ReadIntBytes(b); err != nil {
			return b, err
		}
	}
	return b, nil
}

// A few bytes do not make generated methods take much memory.
func TestMessagePackGenerated(t *testing.T) {
	p := NewMessagePack()
	var list generated
	for _, raw := range []string{"91 dd7fffffff01", "91 ddffffffff", "91 dd80000000", "91 9201"} {
		if err := p.Bind(unhex(t, raw), &list); err == nil {
			t.Errorf("%s: %v", raw, list)
		}
	}
	var next string
	if err := p.Bind(unhex(t, "92 920102 a178"), &list, &next); err != nil || !slices.Equal(list, generated{1, 2}) || next != "x" {
		t.Errorf("%v %s, %v", list, next, err)
	}
}

func TestMessagePackDates(t *testing.T) {
	p, j := NewMessagePack(), NewJSON(JSONOptions{})
	for raw, want := range map[string]string{
		"d6ff3ca8333f":                   `"2002-04-01T10:15:27Z"`,
		"d7ff1dcd65003ca8333f":           `"2002-04-01T10:15:27.125Z"`,
		"d7ff000000043ca8333f":           `"2002-04-01T10:15:27Z"`,
		"d7ffffffffff3ca8333f":           `"2410-07-22T05:40:16.0737418Z"`,
		"c70cff00000001000000003ca8333f": `"2002-04-01T10:15:27Z"`,
		"c70cff00000000fffffff1886e0900": `"0001-01-01T00:00:00"`,
		"c704ff3ca8333f":                 `"2002-04-01T10:15:27Z"`,
		"c708ff000000043ca8333f":         `"2002-04-01T10:15:27Z"`,
		"c80004ff3ca8333f":               `"2002-04-01T10:15:27Z"`,
		"c900000008ff000000043ca8333f":   `"2002-04-01T10:15:27Z"`,
		"c705ff3ca8333f00":               "",
		"d6013ca8333f":                   "",
		"c70cff000000013000000000000000": "",
		"c0":                             "",
		"05":                             "",
		"a0":                             "",
	} {
		var when time.Time
		err := p.Decode(unhex(t, raw), &when)
		got := ""
		if err == nil {
			b, _ := j.append(nil, when)
			got = string(b)
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", raw, got, err, want)
		}
	}
}
