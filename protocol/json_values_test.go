package protocol

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

type embedded struct {
	Inner  int
	Shadow int
}

type Embedded struct{ Deep string }

type tagged struct {
	embedded
	*Embedded
	Named    Embedded `json:"kept"`
	IOError  int
	ID       string `json:"id,omitempty"`
	Shadow   string
	Skipped  int `json:"-"`
	private  int
	Zero     time.Time `json:",omitzero"`
	Raw      json.RawMessage
	Any      any
	Pointer  *int
	Duration time.Duration
}

func TestJSONFields(t *testing.T) {
	v := tagged{embedded: embedded{1, 2}, Shadow: "s", private: 5, Raw: json.RawMessage(` { "a" : "é\u00e9\/" , "b":[ 1.0 ,{}] } `), Any: map[string]any{"Key": int8(1)}}
	for asDeclared, want := range map[bool]string{
		false: `{"inner":1,"kept":{"deep":""},"ioError":0,"shadow":"s","raw":{"a":"éé/","b":[1.0,{}]},"any":{"Key":1},"pointer":null,"duration":"00:00:00"}`,
		true:  `{"Inner":1,"kept":{"Deep":""},"IOError":0,"Shadow":"s","Raw":{"a":"éé/","b":[1.0,{}]},"Any":{"Key":1},"Pointer":null,"Duration":"00:00:00"}`,
	} {
		got, err := NewJSON(JSONOptions{AsDeclared: asDeclared}).append(nil, v)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v\nwant %s", got, err, want)
		}
	}
	var back tagged
	err := NewJSON(JSONOptions{}).Decode([]byte(`{"INNER":1,"inner":2,"deep":"d","Kept":{"DEEP":"k"},"ioerror":3,"ID":"i","skipped":9,"private":9,"pointer":4,"raw":[1 ],"any":[1,"a",null,true,{}],"unknown":[{}]}`), &back)
	if err != nil || back.Inner != 2 || back.Deep != "d" || back.Named.Deep != "k" || back.IOError != 3 || back.ID != "i" || back.Skipped != 0 || back.private != 0 ||
		*back.Pointer != 4 || string(back.Raw) != "[1 ]" || len(back.Any.([]any)) != 5 {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestCamelCase(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "A": "a", "Ab": "ab", "AB": "ab", "ABc": "aBc", "URL": "url", "URLValue": "urlValue", "IOError": "ioError", "ID": "id", "already": "already", "ÄÖ": "äö", "X1": "x1", "IsX": "isX", "_A": "_A",
	} {
		if got := camelCase(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// What the original does with each was seen on it.
func TestJSONConversions(t *testing.T) {
	const refused = "refused"
	type object struct {
		IntValue int32
		Map      map[string]int32
		Nested   *struct{ Text string }
	}
	for _, c := range []struct {
		target      any
		json, value string
	}{
		{new(int32), `1`, `1`}, {new(int32), `"1"`, refused}, {new(int32), `1.0`, refused}, {new(int32), `1.5`, refused}, {new(int32), `1e0`, refused}, {new(int32), `1E2`, refused},
		{new(int32), `-0`, `0`}, {new(int32), `2147483648`, refused}, {new(int32), `-2147483648`, `-2147483648`}, {new(int32), `null`, refused}, {new(int32), `true`, refused}, {new(int32), `{}`, refused},
		{new(int64), `9223372036854775807`, `9223372036854775807`}, {new(int64), `9223372036854775808`, refused}, {new(int64), `""`, refused},
		{new(uint8), `255`, `255`}, {new(uint8), `256`, refused}, {new(uint8), `-1`, refused}, {new(uint8), `-0`, `0`},
		{new(*int32), `null`, `null`}, {new(*int32), `1`, `1`}, {new(*int32), `1.0`, refused},
		{new(float64), `1`, `1`}, {new(float64), `"1"`, refused}, {new(float64), `"NaN"`, refused}, {new(float64), `1e-400`, `0`}, {new(float64), `-0`, `-0`}, {new(float64), `1E2`, `100`},
		{new(float64), `123456789012345678901234567890`, `1.2345678901234568E+29`}, {new(float64), `4.9e-324`, `5E-324`}, {new(float64), `null`, refused},
		{new(float64), `1e16`, `10000000000000000`}, {new(float64), `1e17`, `1E+17`}, {new(float64), `12345678901234567`, `12345678901234568`}, {new(float64), `0.00012345`, `0.00012345`}, {new(float64), `9.99e-5`, `9.99E-05`},
		{new(bool), `true`, `true`}, {new(bool), `1`, refused}, {new(bool), `"true"`, refused}, {new(bool), `null`, refused},
		{new(string), `null`, `""`}, {new(string), `5`, refused}, {new(string), `[]`, refused}, {new(string), `"\u003c\/\u00e9\ud83d\ude00\u2028"`, `"</é\uD83D\uDE00\u2028"`},
		{new(string), `"\ud800"`, refused}, {new(string), `"\udc00"`, refused}, {new(string), `"\ud800\u0041"`, refused}, {new(string), "\"a\xff\xfe\"", refused},
		{new(*string), `null`, `null`}, {new(*string), `""`, `""`},
		{new([]byte), `"AAH+/w=="`, `"AAH+/w=="`}, {new([]byte), `""`, `""`}, {new([]byte), `null`, `null`}, {new([]byte), `[1]`, refused}, {new([]byte), `"!"`, refused}, {new([]byte), `"A"`, refused}, {new([]byte), `"AQI"`, refused},
		{new([]byte), `"-_-_"`, refused}, {new([]byte), `"AQ ID"`, `"AQID"`}, {new([]byte), `"AQID\r\n AQID"`, `"AQIDAQID"`}, {new([]byte), `"AR=="`, refused}, {new([]byte), `"AQ==="`, refused}, {new([]byte), `"AQID="`, refused},
		{new([]byte), `"===="`, refused}, {new([]byte), `"AQ==AQ=="`, refused}, {new([]byte), `"\u0041QID"`, `"AQID"`}, {new([]byte), `"é"`, refused}, {new([]byte), `"A Q = ="`, `"AQ=="`},
		{new([]int32), `[1,2]`, `[1,2]`}, {new([]int32), `null`, `null`}, {new([]int32), `[null]`, refused}, {new([]int32), `{}`, refused}, {new([2]int32), `[1,2]`, `[1,2]`}, {new([2]int32), `[1]`, refused}, {new([2]int32), `[1,2,3]`, refused},
		{new(map[string]int32), `{"a":1,"a":2,"A":3}`, `{"A":3,"a":2}`}, {new(map[string]int32), `[]`, refused}, {new(map[string]int32), `{"a":1.5}`, refused}, {new(map[int8]bool), `{"-1":true}`, `{"-1":true}`}, {new(map[int8]bool), `{"x":true}`, refused},
		{new(map[string]int32), "{\"a\xff\":1}", refused}, {new(map[string]int32), `{"a\ud800":1}`, refused},
		{new(map[Guid]int), `{"00010203-0405-0607-0706-050403020100":1}`, `{"00010203-0405-0607-0706-050403020100":1}`},
		{new(object), `{"intvalue":5,"extra":1}`, `{"intValue":5,"map":null,"nested":null}`}, {new(object), `{"IntValue":null}`, refused}, {new(object), `{"Nested":{"TEXT":"q"},"Map":{}}`, `{"intValue":0,"map":{},"nested":{"text":"q"}}`},
		{new(object), `{"a\ud800":1}`, refused}, {new(object), "{\"a\xff\":1}", `{"intValue":0,"map":null,"nested":null}`}, {new(object), `null`, refused}, {new(*object), `null`, `null`}, {new(object), `[]`, refused},
		{new(Guid), `"ABCDEF01-2345-6789-abcd-EF0123456789"`, `"abcdef01-2345-6789-abcd-ef0123456789"`}, {new(Guid), `"0001020\u0033-0405-0607-0706-050403020100"`, `"00010203-0405-0607-0706-050403020100"`},
		{new(Guid), `"{00010203-0405-0607-0706-050403020100}"`, refused}, {new(Guid), `"00010203040506070706050403020100"`, refused}, {new(Guid), `""`, refused}, {new(Guid), `null`, refused}, {new(Guid), `"00010203-0405-0607-0706-05040302010g"`, refused},
		{new(json.Number), `1.10`, `1.10`}, {new(json.Number), `"1"`, refused}, {new(any), `{"a":[1,null,"x",false]}`, `{"a":[1,null,"x",false]}`}, {new(any), `"\ud800"`, refused},
		{new(time.Duration), `"1.02:03:04.0050000"`, `"1.02:03:04.0050000"`}, {new(time.Duration), `"-00:00:01"`, `"-00:00:01"`}, {new(time.Duration), `"24:00:00"`, refused}, {new(time.Duration), `5`, refused}, {new(time.Duration), `"x"`, refused},
		{new(time.Duration), `"99999999999999999999.00:00:00"`, refused}, {new(error), `{}`, refused},
		{new(int32), `1 2`, refused}, {new(int32), ``, refused}, {new([]int32), `[1,]`, refused}, {new(string), `"`, refused}, {new(any), strings.Repeat("[", 65), refused},
	} {
		p := NewJSON(JSONOptions{})
		err := p.Decode([]byte(c.json), c.target)
		got := refused
		if err == nil {
			b, err := p.append(nil, c.target)
			got = string(b) + text(err)
		}
		if got != c.value {
			t.Errorf("%s into %T: %s (%v), want %s", c.json, c.target, got, err, c.value)
		}
	}
}

func TestJSONDates(t *testing.T) {
	p := NewJSON(JSONOptions{})
	local := func(s string) string {
		when, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return `"` + when.In(time.Local).Format("2006-01-02T15:04:05.9999999-07:00") + `"`
	}
	for in, want := range map[string]string{
		"2002-04-01":                           `"2002-04-01T00:00:00"`,
		"2002-04-01T10:20":                     `"2002-04-01T10:20:00"`,
		"2002-04-01T10:20Z":                    `"2002-04-01T10:20:00Z"`,
		"2002-04-01T10:20:15":                  `"2002-04-01T10:20:15"`,
		"2002-04-01T10:20:15Z":                 `"2002-04-01T10:20:15Z"`,
		`2002-04-01T10:20:15\u005a`:            `"2002-04-01T10:20:15Z"`,
		"2002-04-01T10:20:15.1":                `"2002-04-01T10:20:15.1"`,
		"2002-04-01T10:20:15.1200000Z":         `"2002-04-01T10:20:15.12Z"`,
		"2002-04-01T10:20:15.12345678Z":        `"2002-04-01T10:20:15.1234567Z"`,
		"2002-04-01T10:20:15.1234567890123456": `"2002-04-01T10:20:15.1234567"`,
		"2002-04-01T10:20:15.9999999999Z":      `"2002-04-01T10:20:15.9999999Z"`,
		"2002-04-01T10:20:15+02:00":            local("2002-04-01T08:20:15Z"),
		"2002-04-01T10:20:15+02":               local("2002-04-01T08:20:15Z"),
		"2002-04-01T10:20:15.1+02:30":          local("2002-04-01T07:50:15.1Z"),
		"2002-04-01T10:20:15-14:00":            local("2002-04-02T00:20:15Z"),
		"2002-04-01T10:20:15-00:00":            local("2002-04-01T10:20:15Z"),
		"2000-02-29":                           `"2000-02-29T00:00:00"`,
		"0001-01-01T00:00:00":                  `"0001-01-01T00:00:00"`,
		"9999-12-31T23:59:59.9999999Z":         `"9999-12-31T23:59:59.9999999Z"`,
		"2002-04-01T24:00:00":                  `"2002-04-02T00:00:00"`,
		"2002-04-01T24:00Z":                    `"2002-04-02T00:00:00Z"`,
		"2002-04-01T24:00:00.00000001Z":        `"2002-04-02T00:00:00Z"`,
		"2002-12-31T24:00:00+02:00":            local("2002-12-31T22:00:00Z"),
		"2000-02-28T24:00:00Z":                 `"2000-02-29T00:00:00Z"`,
		"0001-01-01T24:00:00+14:00":            local("0001-01-01T10:00:00Z"),
	} {
		var when time.Time
		err := p.Decode([]byte(`"`+in+`"`), &when)
		got, _ := p.append(nil, when)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{
		``, `x`, `1 April`, `2002`, `2002-4-1`, `20020401`, ` 2002-04-01`, `2002-04-01 `, `2002-04-01Z`, `2002-04-01+02:00`, `2002-04-01T`, `2002-04-01T10`, `2002-04-01 10:20:15`, `2002-04-01t10:20:15z`,
		`2002-04-01T10:20:15.`, `2002-04-01T10:20:15.12345678901234567Z`, `2002-04-01T24:00:00.0000001Z`, `2002-04-01T24:00:01Z`, `2002-04-01T24:01Z`, `2002-04-01T25:00:00Z`, `2002-04-31T24:00:00Z`, `9999-12-31T24:00:00Z`, `9999-12-31T24:00:00+02:00`, `2002-04-01T23:60:00Z`, `2002-04-01T23:59:60Z`, `2002-04-01T10:20:15+0200`, `2002-04-01T10:20:15+2:00`, `2002-04-01T10:20:15+14:01`,
		`2002-04-01T10:20:15+02:60`, `2002-04-01T10:20:15Zx`, `2002-04-01T10:20:15-`, `2002-02-30`, `1900-02-29`, `2002-13-01`, `2002-00-01`, `0000-01-01`, `+2002-04-01`, `0001-01-01T00:00:00+02:00`, `9999-12-31T23:59:59-02:00`,
	} {
		var when time.Time
		if err := p.Decode([]byte(`"`+in+`"`), &when); err == nil {
			t.Errorf("%s: %v", in, when)
		}
	}
	if _, err := p.append(nil, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("the year 10000 can be written")
	}
}

func TestTimeSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "00:00:00", time.Second: "00:00:01", -time.Millisecond: "-00:00:00.0010000", 25*time.Hour + 100: "1.01:00:00.0000001", 99: "00:00:00",
		1<<63 - 1: "106751.23:47:16.8547758", -1 << 63: "-106751.23:47:16.8547758",
	} {
		got := string(appendTimeSpan(nil, d))
		if got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
		if back, ok := parseTimeSpan([]byte(got)); !ok || back != d/tick*tick {
			t.Errorf("%s: %d, %v", got, back, ok)
		}
	}
	for _, s := range []string{"", "-", ".", "1", "1:2:3", "1.", "00:00", "00:00:00.", "00:00:00.12345678", "00:00:60", "106752.00:00:00", "106751.23:47:17", "-106751.23:59:59", "00:00:00 "} {
		if d, ok := parseTimeSpan([]byte(s)); ok {
			t.Errorf("%s: %v", s, d)
		}
	}
}

func TestJSONBind(t *testing.T) {
	p := NewJSON(JSONOptions{})
	bind := (&BindError{}).Error()
	for arguments, want := range map[string]string{
		`["x",5]`:     "",
		`[ "x" ,5 ]`:  "",
		`[]`:          "Invocation provides 0 argument(s) but target expects 2.",
		`["x",5,{}]`:  "Invocation provides 3 argument(s) but target expects 2.",
		`["x",5.5,1]`: bind,
		`[5]`:         bind,
		`[null,null]`: bind,
		`["x"`:        "Expected depth to be zero at the end of the JSON payload. There is an open JSON object or array that should be closed. LineNumber: 0 | BytePositionInLine: 4.",
	} {
		var (
			s string
			n int32
		)
		err := p.Bind([]byte(arguments), &s, &n)
		if text(err) != want {
			t.Errorf("%s: %v, want %s", arguments, err, want)
		}
		if typed, ok := err.(interface{ ErrorType() string }); err != nil && (!ok || typed.ErrorType() == "") {
			t.Errorf("%s: the error has no type", arguments)
		}
	}
}

func TestJSONDecodeError(t *testing.T) {
	var n int32
	err := NewJSON(JSONOptions{}).Decode([]byte(`"x"`), &n)
	const why = "The JSON value could not be converted to System.Int32. Path: $ | LineNumber: 0 | BytePositionInLine: 3."
	var decode *DecodeError
	if !errors.As(err, &decode) || decode.ErrorType() != "JsonException" || decode.Error() != why || decode.ResultText() != "Error trying to deserialize result to Int32. "+why {
		t.Error(err)
	}
}

// Names of properties differ in case as in .NET: no letter outside ASCII stands for one of ASCII.
func TestJSONNamesWithoutCase(t *testing.T) {
	type object struct{ Kiss, Ähre int }
	for text, want := range map[string]object{
		`{"KISS":1,"ÄHRE":2}`: {1, 2}, `{"kisſ":1,"\u212aiss":2,"k\u0131ss":3}`: {},
	} {
		var o object
		if err := NewJSON(JSONOptions{}).Decode([]byte(text), &o); err != nil || o != want {
			t.Errorf("%s: %v, %v", text, o, err)
		}
	}
}

// The depth of 64 is the default, and counts the message and its arguments; so does that of an option.
func TestJSONDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for option, depth := range map[int]int{0: 64, -1: 64, 1: 1, 3: 3, 64: 64, 100: 100, 500: 500, 1 << 30: maxDepthOption} {
		p := NewJSON(JSONOptions{MaxDepth: option})
		for n := max(0, depth-4); n < depth+2; n++ {
			var m Message
			err := p.Parse([]byte(`{"type":1,"target":"t","arguments":[`+nested(n)+`]}`), &m)
			if (err == nil) != (n+2 <= depth) {
				t.Errorf("%d: an argument of depth %d: %v", option, n, err)
			}
			if err == nil {
				var v any
				if err := p.Bind(m.Arguments, &v); n > 0 && err != nil {
					t.Errorf("%d: an argument of depth %d: %v", option, n, err)
				}
			}
			var v any = 1
			for range n {
				v = []any{v}
			}
			for _, v := range []any{v, json.RawMessage(nested(n))} {
				if n == 0 {
					continue
				}
				if _, err := p.append(nil, v); (err == nil) != (n <= depth) {
					t.Errorf("%d: a %T of depth %d: %v", option, v, n, err)
				}
			}
		}
	}
}

// Of several arrays of arguments each is bound: an error of one is not made good by a later one, and the last error counts.
func TestJSONBindsSeveralArrays(t *testing.T) {
	p := NewJSON(JSONOptions{})
	fits, count := "", (&CountError{Got: 0, Want: 1}).Error()
	bind := (&BindError{}).Error()
	for in, want := range map[string]string{
		`["x"][1]`: bind, `["x"][]`: count, `[]["x"]`: bind, `["x"][][1]`: count, `[]["x"][1]`: bind, `[1]["x"]`: bind, `[1][]`: count,
		`[1][2]`: fits, `[{"a":[1,2]}][]`: count, `[[],1,2][]`: count,
	} {
		n := 0
		err := p.Bind([]byte(in), &n)
		if want == fits && err != nil || want != fits && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}
