package protocol

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

type colour int

func (c colour) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%d", int(c)), nil }
func (c colour) MarshalText() ([]byte, error) { return []byte([]string{"", "Red", "Green"}[c]), nil }

func (c *colour) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, (*int)(c)) }
func (c *colour) UnmarshalText(b []byte) error {
	*c = map[string]colour{"Red": 1, "Green": 2}[string(b)]
	return nil
}

type inner struct {
	Text   *string
	Number *int
}

type shape struct {
	IntValue int
	NullText *string
	Nested   inner
	Map      map[string]int
	Colour   colour
}

// values are Go's counterparts of the values that the original wrote; what is missing Go has not.
func values() map[string]any {
	utc := func(s string) time.Time {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			panic(err)
		}
		return t.UTC()
	}
	in, ascii := "in", make([]byte, 128)
	for i := range ascii {
		ascii[i] = byte(i)
	}
	april := utc("2002-04-01T10:20:15Z")
	m := map[string]any{
		"null":      nil,
		"text":      "<>&'+\"\\/`\u007f\u00a0é你😀\u2028\u2029\ufeff\u200b\b\f\n\r\t\x00\x1f",
		"lone":      "a\xedb",
		"all-ascii": string(ascii),
		"true":      true, "int": int32(42), "negative": -1, "int-min": int32(math.MinInt32),
		"long-max": int64(math.MaxInt64), "long-min": int64(math.MinInt64), "ulong-max": uint64(math.MaxUint64),
		"byte": byte(200), "short": int16(-300), "long-5e9": int64(5e9),
		"double-1": 1.0, "double-0.1": 0.1, "double-1e21": 1e21, "double-1e20": 1e20, "double-1e15": 1e15,
		"double-123456789012345680": 123456789012345680.0, "double-1e-5": 1e-5, "double-0.0001": 0.0001, "double-1e-7": 1e-7,
		"double-max": math.MaxFloat64, "double-epsilon": math.SmallestNonzeroFloat64, "double-negzero": math.Copysign(0, -1), "double-third": 1.0 / 3,
		"float-0.1": float32(0.1), "float-1": float32(1),
		"decimal-1.10": json.Number("1.10"), "decimal-big": json.Number("79228162514264337593543950335"),
		"guid":  Guid{0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2, 1, 0},
		"bytes": []byte{0, 1, 254, 255}, "bytes-empty": []byte{},
		"ints": []int{1, 2, 3}, "list-empty": []string{}, "strings": []*string{new("a"), nil, new("")},
		"objects":  []any{1, "a", nil, true, 1.5, []int{1}},
		"date-utc": april, "date-utc-ms": utc("2002-04-01T10:20:15.12Z"), "date-utc-ticks": utc("2002-04-01T10:20:15.1234567Z"),
		"date-unspecified": april.In(Unspecified), "date-local": april.In(time.FixedZone("", 0)), "date-min": time.Time{},
		"date-max-utc": utc("9999-12-31T23:59:59.9999999Z"), "date-2200": utc("2200-01-01T00:00:00Z"), "date-2600-ticks": utc("2600-01-01T00:00:00.0000001Z"),
		"offset": DateTimeOffset{april.Add(-2 * time.Hour).In(time.FixedZone("", 7200))}, "offset-utc": DateTimeOffset{april.In(time.FixedZone("", 0))},
		"timespan": 26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond,
		"uri":      "http://a/b?c=d&e", "version": "1.2.3", "enum": colour(2),
		"map":     map[string]any{"b": 1, "A b": nil, "é<": "x"},
		"int-map": map[int]string{1: "one"},
		"shape":   shape{1, nil, inner{&in, nil}, map[string]int{"Key One": 1, "two": 2}, 2},
		"ints-15": make([]int, 15), "ints-16": make([]int, 16),
	}
	for _, n := range []int{128, 255, 256, 65535, 65536, -32, -33, -128, -129, -32769} {
		m[fmt.Sprintf("int-%d", n)] = n
	}
	for _, n := range []int{31, 32, 255, 256} {
		m[fmt.Sprintf("str-%d", n)] = strings.Repeat("s", n)
	}
	for i := range 16 {
		m["ints-16"].([]int)[i] = i
		copy(m["ints-15"].([]int), m["ints-16"].([]int))
	}
	return m
}

// leftOut are the values that Go has not, with the reason.
var leftOut = map[string]string{
	"nan": "see TestUnwritable", "infinity": "see TestUnwritable",
	"char":     "Go has no character but int32",
	"dateonly": "Go has no date without a time", "timeonly": "Go has no time without a date",
	"tuple": "Go has none", "keyvalue": "Go has none",
	"map-16": "the order of insertion is lost to Go",
}

type goldenValue struct{ Name, JSON, Msgpack string }

func goldenValues(t *testing.T) []goldenValue {
	t.Helper()
	b, err := os.ReadFile("testdata/values.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []goldenValue
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// same compares with what may be shortened.
func same(got, want string) bool {
	if cut, ok := strings.CutSuffix(want, "…"); ok {
		return strings.HasPrefix(got, cut)
	}
	return got == want
}

func TestGoldenValues(t *testing.T) {
	j, p, ours := NewJSON(JSONOptions{AsDeclared: true}), NewMessagePack(), values()
	for _, g := range goldenValues(t) {
		v, ok := ours[g.Name]
		if !ok {
			if leftOut[g.Name] == "" {
				t.Errorf("%s is neither here nor left out", g.Name)
			}
			continue
		}
		if g.Name == "map" {
			v = map[string]any{"b": 1} // sorted keys are not in the order of the original
			g.JSON, g.Msgpack = `{"b":1}`, "81a162d200000001"
		}
		got, err := j.append(nil, v)
		if err != nil || !same(string(got), g.JSON) {
			t.Errorf("%s: JSON %s, %v, want %s", g.Name, got, err, g.JSON)
		}
		if v != nil {
			readBack(t, g.Name, v, func(target any) error { return j.Decode(got, target) })
		}
		got, err = p.append(nil, v)
		if err != nil || !same(hex.EncodeToString(got), g.Msgpack) {
			t.Errorf("%s: MessagePack %x, %v, want %s", g.Name, got, err, g.Msgpack)
		}
		if v != nil {
			readBack(t, g.Name, v, func(target any) error { return p.Decode(got, target) })
		}
	}
}

// readBack decodes into a new value of v's type and compares.
func readBack(t *testing.T, name string, v any, decode func(any) error) {
	t.Helper()
	target := reflect.New(reflect.TypeOf(v))
	if err := decode(target.Interface()); err != nil {
		t.Errorf("%s: read back: %v", name, err)
		return
	}
	got := target.Elem().Interface()
	switch want := v.(type) {
	case time.Time:
		if !got.(time.Time).Equal(want) {
			t.Errorf("%s: read back %v", name, got)
		}
	case DateTimeOffset:
		if o := got.(DateTimeOffset); !o.Equal(want.Time) || o.Format(time.RFC3339) != want.Format(time.RFC3339) && name != "offset-utc" {
			t.Errorf("%s: read back %v", name, got)
		}
	case []any, map[string]any:
		// Numbers come back as other types.
	default:
		if name != "lone" && !reflect.DeepEqual(got, v) {
			t.Errorf("%s: read back %#v", name, got)
		}
	}
}

func TestJSONEscapes(t *testing.T) {
	b, err := os.ReadFile("testdata/json-escapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Named   map[string]int
		Escaped []string
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	want := map[rune]string{}
	for _, span := range golden.Escaped {
		first, last, ok := strings.Cut(span, "-")
		if !ok {
			last = first
		}
		var from, to rune
		if _, err := fmt.Sscanf(first+" "+last, "%X %X", &from, &to); err != nil {
			t.Fatal(span, err)
		}
		for r := from; r <= to; r++ {
			want[r] = fmt.Sprintf(`"\u%04X"`, r)
		}
	}
	for text, r := range golden.Named {
		want[rune(r)] = `"` + text + `"`
	}
	for r := rune(0); r <= 0xffff; r++ {
		if 0xd800 <= r && r <= 0xdfff {
			continue // no UTF-8
		}
		w, ok := want[r]
		if !ok {
			w = `"` + string(r) + `"`
		}
		if got := string(appendJSONString(nil, string(r))); got != w {
			t.Errorf("U+%04X: %s, want %s", r, got, w)
		}
	}
}

func TestUnwritable(t *testing.T) {
	j, p := NewJSON(JSONOptions{}), NewMessagePack()
	for _, f := range []any{math.NaN(), math.Inf(1), float32(math.Inf(-1)), []float64{math.NaN()}} {
		dst, err := j.AppendResult([]byte("before"), "1", f)
		if !errors.Is(err, errNotFinite) || string(dst) != "before" {
			t.Errorf("%v: %s, %v", f, dst, err)
		}
	}
	if got, err := p.append(nil, math.NaN()); err != nil || hex.EncodeToString(got) != "cbfff8000000000000" {
		t.Errorf("NaN: %x, %v", got, err)
	}
	if got, err := p.append(nil, []float64{math.NaN()}); err != nil || hex.EncodeToString(got) != "91cbfff8000000000000" {
		t.Errorf("NaN in a list: %x, %v", got, err)
	}
	type ring struct{ Next *ring }
	r := &ring{}
	r.Next = r
	var pointers any
	pointers = &pointers
	for _, v := range []any{r, pointers, make(chan int), func() {}, map[complex64]int{1: 1}} {
		for _, h := range []HubProtocol{j, p} {
			dst, err := h.AppendInvocation([]byte("before"), "", "t", nil, nil, v)
			if asFault(err) == nil || string(dst) != "before" {
				t.Errorf("%s: %T: %q, %v", h.Name(), v, dst, err)
			}
		}
	}
}

// Only arrays and objects count as nesting, and pointers to pointers, which can form a cycle.
func TestNestedPointers(t *testing.T) {
	type chain struct{ Next *chain }
	for p, most := range map[HubProtocol]int{NewJSON(JSONOptions{}): maxDepth, NewMessagePack(): maxPackDepth} {
		var c *chain
		for range most {
			c = &chain{c}
		}
		if _, err := p.AppendResult(nil, "1", c); err != nil {
			t.Errorf("%s: %d objects: %v", p.Name(), most, err)
		}
		if _, err := p.AppendResult(nil, "1", &chain{c}); err == nil {
			t.Errorf("%s: %d objects were encoded", p.Name(), most+1)
		}
	}
}
