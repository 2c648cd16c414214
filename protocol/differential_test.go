package protocol

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// The differential tests make struct types by chance and compare with encoding/json: what each writes the other reads, to the same value.
// Where .NET's spelling is another one the meaning is compared. The same values go through MessagePack.

// shapes makes types and values of them.
type shapes struct{ *rand.Rand }

func (s shapes) one(of ...string) string { return of[s.IntN(len(of))] }

var scalars = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](),
	reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[json.Number](),
}

// Structs that are embedded: reflect.StructOf makes none with methods, and theirs must have names.
type (
	Base   struct{ ID, Own int }
	Tagged struct {
		ID int `json:"ID" msgpack:"ID"`
	}
	Quoted struct {
		ID, N int64 `json:",string"`
	}
	Deeper struct {
		Base
		Deep string
	}
	Another struct {
		*Base
		Deep, X string
	}
	Renamed struct {
		X int `json:"Own" msgpack:"Own"`
		Y int `json:"Deep,omitempty" msgpack:"Deep,omitempty"`
	}
)

var embeddable = []reflect.Type{
	reflect.TypeFor[Base](), reflect.TypeFor[Tagged](), reflect.TypeFor[Quoted](), reflect.TypeFor[Deeper](), reflect.TypeFor[Another](), reflect.TypeFor[Renamed](),
	reflect.TypeFor[*Base](), reflect.TypeFor[*Renamed](),
}

func (s shapes) typ(depth int) reflect.Type {
	if depth == 0 {
		return scalars[s.IntN(len(scalars))]
	}
	switch s.IntN(9) {
	case 0:
		return reflect.PointerTo(s.typ(depth - 1))
	case 1:
		return reflect.SliceOf(s.typ(depth - 1))
	case 2:
		return reflect.ArrayOf(s.IntN(3), s.typ(depth-1))
	case 3:
		key := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int32](), reflect.TypeFor[uint8]()}
		return reflect.MapOf(key[s.IntN(len(key))], s.typ(depth-1))
	case 4, 5:
		return s.structure(depth)
	case 6:
		return reflect.TypeFor[any]()
	}
	return scalars[s.IntN(len(scalars))]
}

func (s shapes) structure(depth int) reflect.Type {
	var fields []reflect.StructField
	taken := map[string]bool{}
	for range s.IntN(5) {
		f := reflect.StructField{Name: s.one("ID", "Own", "Deep", "A", "B", "C", "Ä", "URL"), Type: s.typ(depth - 1)}
		if s.IntN(4) == 0 {
			f.Type = embeddable[s.IntN(len(embeddable))]
			f.Name, f.Anonymous = base(f.Type).Name(), true
		}
		if taken[f.Name] {
			continue
		}
		taken[f.Name] = true
		f.Tag = s.tag(f.Anonymous)
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}

func (s shapes) tag(anonymous bool) reflect.StructTag {
	name := s.one("", "", "", "ID", "Own", "x", "-")
	if anonymous {
		name = s.one("", "", "", "", "x")
	}
	options := s.one("", "", ",omitempty", ",omitzero")
	options += s.one("", "", ",string") // which means nothing to MessagePack
	return reflect.StructTag(fmt.Sprintf(`json:"%s%s" msgpack:"%s%s"`, name, options, name, options))
}

func (s shapes) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(s.IntN(2) == 0)
	case reflect.String:
		if v.Type() == numberType {
			v.SetString(s.one("0", "1.10", "-5e3", "79228162514264337593543950335", "12"))
			return
		}
		v.SetString(s.one("", "x", "<&>\"\\é😀\u2028\x00", "5", "null"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(s.Uint64()) >> s.IntN(64))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(s.Uint64() >> s.IntN(64))
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{0, 1, -0.1, 1e20, 1e-7, 123456.789, math.MaxFloat32}[s.IntN(7)])
	case reflect.Interface:
		if x := []any{nil, "x", true, 1.5, -7.0, []any{"a", nil}, map[string]any{"k": 1.25}}[s.IntN(7)]; x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		s.fillComposite(v)
	}
}

func (s shapes) fillComposite(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if s.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			s.fill(v.Elem())
		}
	case reflect.Slice:
		if s.IntN(3) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), s.IntN(3), 3))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			s.fill(v.Index(i))
		}
	case reflect.Map:
		if s.IntN(3) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range s.IntN(3) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				s.fill(key)
				s.fill(value)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			s.fill(v.Field(i))
		}
	default:
	}
}

// meaning is JSON with the spelling of what is quoted, of numbers and the order of names made alike.
func meaning(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return sameSpelling(v)
}

func sameSpelling(v any) any {
	switch v := v.(type) {
	case string:
		var quoted any
		if json.Unmarshal([]byte(v), &quoted) == nil {
			return quoted
		}
	case []any:
		for i := range v {
			v[i] = sameSpelling(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = sameSpelling(v[k])
		}
	}
	return v
}

func compareByJSON(t *testing.T, typ reflect.Type, v reflect.Value) {
	t.Helper()
	p := NewJSON(JSONOptions{AsDeclared: true})
	theirs, err := json.Marshal(v.Interface())
	ours, err2 := p.append(nil, v.Interface())
	if (err == nil) != (err2 == nil) {
		t.Fatalf("%v: %v, but encoding/json says %v", typ, err2, err)
	}
	if err != nil {
		return
	}
	if a, b := meaning(t, ours), meaning(t, theirs); !reflect.DeepEqual(a, b) {
		t.Fatalf("%v:\n%s, but encoding/json writes\n%s", typ, ours, theirs)
	}
	for _, text := range [][]byte{ours, theirs} {
		a, b := reflect.New(typ), reflect.New(typ)
		err, err2 := p.Decode(text, a.Interface()), json.Unmarshal(text, b.Interface())
		if err != nil || err2 != nil {
			t.Fatalf("%v: %s: %v, but encoding/json says %v", typ, text, err, err2)
		}
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			t.Fatalf("%v: %s:\n%+v, but encoding/json reads\n%+v", typ, text, a.Elem(), b.Elem())
		}
	}
}

// compareByPack compares the value that went through MessagePack with the one that went through JSON without the options of its tags.
func compareByPack(t *testing.T, typ reflect.Type, v reflect.Value) {
	t.Helper()
	p := NewMessagePack()
	packed, err := p.append(nil, v.Interface())
	if err != nil {
		t.Fatalf("%v: %v", typ, err)
	}
	back := reflect.New(typ)
	if err := p.Decode(packed, back.Interface()); err != nil {
		t.Fatalf("%v: %x: %v", typ, packed, err)
	}
	again, err := p.append(nil, back.Elem().Interface())
	if err != nil || string(again) != string(packed) {
		t.Fatalf("%v: %x, then %x, %v", typ, packed, again, err)
	}
	got, _ := json.Marshal(back.Interface())
	want, _ := json.Marshal(v.Interface())
	if !reflect.DeepEqual(meaning(t, got), meaning(t, want)) {
		t.Fatalf("%v: %s came back as %s", typ, want, got)
	}
}

func differ(t *testing.T, seed uint64) {
	t.Helper()
	s := shapes{rand.New(rand.NewPCG(seed, 0))}
	typ := s.structure(1 + s.IntN(3))
	v := reflect.New(typ).Elem()
	s.fill(v)
	compareByJSON(t, typ, v)
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return
	}
	seen := reflect.New(typ) // without the fields that are not written
	if err := json.Unmarshal(text, seen.Interface()); err != nil {
		t.Fatal(err)
	}
	compareByPack(t, typ, seen.Elem())
}

func TestDifferential(t *testing.T) {
	for seed := range uint64(20_000) {
		differ(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzDifferential(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(differ)
}
