package protocol

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// What comes into an empty interface goes out again as the same number, over both protocols where MessagePack has it.
func TestAnyNumbers(t *testing.T) {
	p := NewJSON(JSONOptions{})
	for text, want := range map[string]struct {
		value any
		again string
	}{
		"0": {0.0, "0"}, "-5": {-5.0, "-5"}, "1.50": {1.5, "1.5"}, "1e3": {1000.0, "1000"}, "0e999": {0.0, "0"},
		"9007199254740991":          {9007199254740991.0, "9007199254740991"},
		"9007199254740993":          {int64(9007199254740993), "9007199254740993"},
		"-9007199254740993":         {int64(-9007199254740993), "-9007199254740993"},
		"1152921504606846976":       {int64(1 << 60), "1152921504606846976"},
		"9223372036854775807":       {int64(1<<63 - 1), "9223372036854775807"},
		"18446744073709551615":      {uint64(1<<64 - 1), "18446744073709551615"},
		"18446744073709551616":      {json.Number("18446744073709551616"), "18446744073709551616"},
		"100000000000000000000":     {1e20, "1E+20"},
		"0.1000000000000000055":     {json.Number("0.1000000000000000055"), "0.1000000000000000055"},
		"0.30000000000000004":       {0.30000000000000004, "0.30000000000000004"},
		"1e400":                     {json.Number("1e400"), "1e400"},
		"-1E+400":                   {json.Number("-1E+400"), "-1E+400"},
		"1e-400":                    {json.Number("1e-400"), "1e-400"},
		"1e99999999999999999999999": {json.Number("1e99999999999999999999999"), "1e99999999999999999999999"},
	} {
		var (
			one  any
			list []any
			m    map[string]any
		)
		if err := p.Decode([]byte(text), &one); err != nil || one != want.value {
			t.Errorf("%s: %T %v, %v", text, one, one, err)
		}
		if err := p.Decode([]byte("["+text+"]"), &list); err != nil || list[0] != want.value {
			t.Errorf("[%s]: %v, %v", text, list, err)
		}
		if err := p.Decode([]byte(`{"a":`+text+`}`), &m); err != nil || m["a"] != want.value {
			t.Errorf("%s in an object: %v, %v", text, m, err)
		}
		if got, err := p.append(nil, one); string(got) != want.again || err != nil {
			t.Errorf("%s: written as %s, %v", text, got, err)
		}
		if _, err := NewMessagePack().append(nil, one); err != nil {
			t.Errorf("%s by MessagePack: %v", text, err)
		}
	}
}

func TestEmptyNumber(t *testing.T) {
	if got, err := NewJSON(JSONOptions{}).append(nil, []json.Number{""}); string(got) != "[0]" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := NewMessagePack().append(nil, []json.Number{""}); hex.EncodeToString(got) != "91a130" || err != nil {
		t.Errorf("%x, %v", got, err)
	}
}

func TestQuotedFields(t *testing.T) {
	type object struct {
		ID   int64         `json:"id,string"`
		P    *uint8        `json:",string"`
		B    bool          `json:",string"`
		S    string        `json:",string"`
		N    json.Number   `json:",string"`
		Span time.Duration `json:",string"`
	}
	p := NewJSON(JSONOptions{})
	const text = `{"id":"9007199254740993","p":null,"b":"true","s":"\"x\"","n":"1.10","span":"00:00:01"}`
	o := object{ID: 9007199254740993, B: true, S: "x", N: "1.10", Span: time.Second}
	if got, err := p.append(nil, o); string(got) != text || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	var back object
	if err := p.Decode([]byte(text), &back); err != nil || !reflect.DeepEqual(back, o) {
		t.Errorf("%+v, %v", back, err)
	}
	for _, bad := range []string{`{"id":5}`, `{"id":"x"}`, `{"id":"5x"}`, `{"id":"5 5"}`, `{"id":""}`, `{"id":"null"}`, `{"id":null}`, `{"p":"256"}`, `{"b":true}`, `{"s":"x"}`, `{"id":"9223372036854775808"}`} {
		if err := p.Decode([]byte(bad), new(object)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// Of the fields with one name the shallowest counts, else the only tagged one, else none; by the names as they are written.
func TestFieldsWithOneName(t *testing.T) {
	type inner struct{ ID, Both int }
	type Inner = inner
	type Other struct{ Both int }
	type Named struct {
		X int `json:"both" msgpack:"Both"`
	}
	j, m := NewJSON(JSONOptions{}), NewMessagePack()
	for _, c := range []struct {
		value  any
		want   string
		fields int
	}{
		{struct {
			Inner
			ID int
		}{Inner{1, 3}, 2}, `{"both":3,"id":2}`, 2},
		{struct {
			Inner
			Other
		}{Inner{1, 3}, Other{4}}, `{"id":1}`, 1},
		{struct {
			Inner
			Other
			Named
		}{Inner{1, 3}, Other{4}, Named{5}}, `{"id":1,"both":5}`, 2},
		{struct{ Aa, AA int }{1, 2}, `{}`, 2}, // to camel case they are one
	} {
		if got, err := j.append(nil, c.value); string(got) != c.want || err != nil {
			t.Errorf("%s, %v, want %s", got, err, c.want)
		}
		if got, err := m.append(nil, c.value); err != nil || len(got) == 0 || int(got[0]) != 0x80+c.fields {
			t.Errorf("%x, %v, want %d fields", got, err, c.fields)
		}
	}
}

func TestDateTimeOffset(t *testing.T) {
	j, p := NewJSON(JSONOptions{}), NewMessagePack()
	at := time.Date(2002, 4, 1, 10, 20, 15, 0, time.UTC)
	zone := func(minutes int) *time.Location { return time.FixedZone("", minutes*60) }
	for _, c := range []struct {
		when       time.Time
		json, pack string
	}{
		{at, `"2002-04-01T10:20:15+00:00"`, "92d6ff3ca8345f00"},
		{at.In(Unspecified), `"2002-04-01T10:20:15+00:00"`, "92d6ff3ca8345f00"},
		{at.Add(-2 * time.Hour).In(zone(120)), `"2002-04-01T10:20:15+02:00"`, "92d6ff3ca8345f78"},
		{at.Add(570 * time.Minute).In(zone(-570)), `"2002-04-01T10:20:15-09:30"`, "92d6ff3ca8345fd1fdc6"},
		{at.In(zone(14 * 60)), `"2002-04-02T00:20:15+14:00"`, "92d6ff3ca8f93fcd0348"},
		{at.In(zone(15 * 60)), `"2002-04-01T10:20:15+00:00"`, "92d6ff3ca8345f00"}, // .NET has no such offset
		{at.In(time.FixedZone("LMT", 3208)), `"2002-04-01T11:13:15+00:53"`, "92d6ff3ca840cb35"},
		{time.Time{}, `"0001-01-01T00:00:00+00:00"`, "92c70cff00000000fffffff1886e090000"},
	} {
		value := DateTimeOffset{c.when}
		text, err := j.append(nil, value)
		if string(text) != c.json || err != nil {
			t.Errorf("%v: %s, %v, want %s", c.when, text, err, c.json)
		}
		packed, err := p.append(nil, value)
		if hex.EncodeToString(packed) != c.pack || err != nil {
			t.Errorf("%v: %x, %v, want %s", c.when, packed, err, c.pack)
		}
		var plain time.Time
		if err := p.Decode(packed, &plain); err != nil || !plain.Equal(c.when) {
			t.Errorf("%x: %v, %v, want %v", packed, plain, err, c.when)
		}
		for name, decode := range map[string]func(any) error{
			"JSON": func(target any) error { return j.Decode(text, target) }, "MessagePack": func(target any) error { return p.Decode(packed, target) },
		} {
			var back DateTimeOffset
			if err := decode(&back); err != nil || !back.Equal(c.when) || back.Format(time.RFC3339) != value.In(back.Location()).Format(time.RFC3339) {
				t.Errorf("%s: %v, %v, want %v", name, back, err, c.when)
			}
			if again, _ := j.append(nil, back); string(again) != c.json {
				t.Errorf("%s: %s, then %s", name, text, again)
			}
		}
	}
	for _, bad := range []string{"90", "91d6ff3ca8345f", "93d6ff3ca8345f0000", "92d6ff3ca8345fcd0349", "92d6ff3ca8345fa0", "920000", "92d6ff3ca8345f", "92c70cff00000000fffffff1886e090001", "dd80000000", "ddffffffff"} {
		var (
			when DateTimeOffset
			t2   time.Time
		)
		if err := p.Decode(unhex(t, bad), &when); err == nil {
			t.Errorf("%s was read as %v", bad, when)
		}
		if err := p.Decode(unhex(t, bad), &t2); err == nil {
			t.Errorf("%s was read as %v", bad, t2)
		}
	}
}

// Times that .NET's clocks have not are not written: the peer could not read them.
func TestTimesBeyondDotNet(t *testing.T) {
	for _, when := range []time.Time{time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0), time.Unix(-1<<60, 0)} {
		for _, p := range protocols() {
			for _, v := range []any{when, []time.Time{when}, DateTimeOffset{when}} {
				if got, err := p.AppendResult(nil, "1", v); asFault(err) == nil {
					t.Errorf("%s: %v: %q, %v", p.Name(), when, got, err)
				}
			}
		}
	}
}
