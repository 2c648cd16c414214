package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

// value returns a value of spec/golden/values.json by its name.
func value(_ context.Context, name string) (any, error) {
	v, ok := values[name]
	if !ok {
		return nil, hub.NewError("no such value")
	}
	return v, nil
}

// asOffset is a zone that is written as +00:00 and not as Z: it stands for .NET's
// DateTimeKind.Local on a machine in UTC.
var asOffset = time.FixedZone("Local", 0)

// values are the values whose encoding is observed. A .NET type without a counterpart in Go
// is replaced by a value with the same JSON.
var values = map[string]any{
	"null":      nil,
	"text":      "<>&'+\"\\/`\u007f\u00a0é你😀\u2028\u2029\ufeff\u200b\b\f\n\r\t\x00\u001f",
	"lone":      "a\xffb", // half a surrogate pair has no UTF-8: an invalid byte replaces it
	"all-ascii": ascii(),
	"true":      true,

	"int":                       42,
	"negative":                  -1,
	"int-min":                   int32(math.MinInt32),
	"long-max":                  int64(math.MaxInt64),
	"long-min":                  int64(math.MinInt64),
	"ulong-max":                 uint64(math.MaxUint64),
	"byte":                      uint8(200),
	"short":                     int16(-300),
	"int-128":                   128,
	"int-255":                   255,
	"int-256":                   256,
	"int-65535":                 65535,
	"int-65536":                 65536,
	"int--32":                   -32,
	"int--33":                   -33,
	"int--128":                  -128,
	"int--129":                  -129,
	"int--32769":                -32769,
	"long-5e9":                  int64(5_000_000_000),
	"double-1":                  1.0,
	"double-0.1":                0.1,
	"double-1e21":               1e21,
	"double-1e20":               1e20,
	"double-1e15":               1e15,
	"double-123456789012345680": 123456789012345680.0,
	"double-1e-5":               1e-5,
	"double-0.0001":             0.0001,
	"double-1e-7":               1e-7,
	"double-max":                math.MaxFloat64,
	"double-epsilon":            math.SmallestNonzeroFloat64,
	"double-negzero":            math.Copysign(0, -1),
	"double-third":              1.0 / 3,
	"nan":                       math.NaN(),
	"infinity":                  math.Inf(1),
	"float-0.1":                 float32(0.1),
	"float-1":                   float32(1),
	"decimal-1.10":              json.Number("1.10"),
	"decimal-big":               json.Number("79228162514264337593543950335"),

	"char":        "x",
	"guid":        guid,
	"bytes":       []byte{0, 1, 254, 255},
	"bytes-empty": []byte{},
	"ints":        []int{1, 2, 3},
	"list-empty":  []string{},
	"strings":     []*string{pointer("a"), nil, pointer("")},
	"objects":     []any{1, "a", nil, true, 1.5, []int{1}},

	"date-utc":         time.Date(2002, 4, 1, 10, 20, 15, 0, time.UTC),
	"date-utc-ms":      time.Date(2002, 4, 1, 10, 20, 15, 120_000_000, time.UTC),
	"date-utc-ticks":   time.Date(2002, 4, 1, 10, 20, 15, 123_456_700, time.UTC),
	"date-unspecified": time.Date(2002, 4, 1, 10, 20, 15, 0, protocol.Unspecified),
	"date-local":       time.Date(2002, 4, 1, 10, 20, 15, 0, asOffset),
	"date-min":         time.Time{},
	"date-max-utc":     time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC),
	"date-2200":        time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
	"date-2600-ticks":  time.Date(2600, 1, 1, 0, 0, 0, 100, time.UTC),
	"offset":           time.Date(2002, 4, 1, 10, 20, 15, 0, time.FixedZone("", 2*60*60)),
	"offset-utc":       time.Date(2002, 4, 1, 10, 20, 15, 0, asOffset),
	"timespan":         26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond,
	"dateonly":         "2002-04-01",
	"timeonly":         "10:20:15",

	"uri":      "http://a/b?c=d&e",
	"version":  "1.2.3",
	"enum":     2,
	"map":      ordered([]string{"b", "A b", "é<"}, []any{1, nil, "x"}),
	"int-map":  map[int]string{1: "one"},
	"shape":    defaultShape(),
	"tuple":    struct{}{},
	"keyvalue": struct{ Key, Value any }{"k", 1},

	"str-31":  strings.Repeat("s", 31),
	"str-32":  strings.Repeat("s", 32),
	"str-255": strings.Repeat("s", 255),
	"str-256": strings.Repeat("s", 256),
	"ints-15": numbers(15),
	"ints-16": numbers(16),
	"map-16":  sixteen(),
}

func pointer[T any](v T) *T { return &v }

func ascii() string {
	var all [128]byte
	for i := range all {
		all[i] = byte(i)
	}
	return string(all[:])
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// ordered returns a dictionary that keeps the order of its keys, unlike a map.
func ordered[T any](keys []string, values []T) any {
	fields := make([]reflect.StructField, len(keys))
	for i, key := range keys {
		fields[i] = reflect.StructField{
			Name: "F" + strconv.Itoa(i),
			Type: reflect.TypeFor[T](),
			Tag:  reflect.StructTag(fmt.Sprintf("json:%q msgpack:%q", key, key)),
		}
	}
	made := reflect.New(reflect.StructOf(fields)).Elem()
	for i := range values {
		if v := reflect.ValueOf(values[i]); v.IsValid() {
			made.Field(i).Set(v)
		}
	}
	return made.Interface()
}

func sixteen() any {
	keys := make([]string, 16)
	for i := range keys {
		keys[i] = "k" + strconv.Itoa(i)
	}
	return ordered(keys, numbers(16))
}

// colour is an enum.
type colour int32

func (c colour) String() string {
	switch c {
	case 1:
		return "Red"
	case 2:
		return "Green"
	}
	return strconv.Itoa(int(c))
}

// shape is an object with a field of every kind. Missing fields have the values of
// defaultShape.
type shape struct {
	IntValue int32
	NullText *string
	Nested   *inner
	Map      map[string]int32
	Colour   colour
}

type inner struct {
	Text   *string
	Number *int32
}

func defaultShape() shape {
	return shape{
		IntValue: 1,
		Nested:   &inner{Text: pointer("in")},
		Map:      map[string]int32{"Key One": 1, "two": 2},
		Colour:   2,
	}
}

// argument is a shape that may be incomplete.
type argument struct{ shape }

// UnmarshalJSON replaces the defaults by the fields of the client's object.
func (a *argument) UnmarshalJSON(data []byte) error {
	a.shape = defaultShape()
	a.Map = nil // the client's map replaces the default
	if err := json.Unmarshal(data, &a.shape); err != nil {
		return err
	}
	if a.Map == nil {
		a.Map = defaultShape().Map
	}
	return nil
}

func shaped(_ context.Context, a *argument) (string, error) {
	if a == nil {
		return "", nullReference
	}
	nested := ""
	if a.Nested != nil {
		nested = text(a.Nested.Text)
	}
	return fmt.Sprintf("%d|%s|%s|%s|%d", a.IntValue, text(a.NullText), nested, a.Colour, len(a.Map)), nil
}
