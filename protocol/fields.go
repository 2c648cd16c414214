package protocol

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// field is one field of a struct on the wire.
type field struct {
	name      string
	index     []int
	typ       reflect.Type
	tagged    bool // name is from the tag
	omitEmpty bool
	omitZero  bool
	quoted    bool // the value is encoded as text within a string
}

// fieldsOf lists the fields of a struct in declaration order, by the rules of
// encoding/json: exported fields; the fields of embedded structs without a name count as
// fields of the outer struct. Of several fields with one name the shallowest is used; at
// equal depth the only one with the name in its tag; otherwise none. key is the key of
// the tags. rename returns the names of untagged fields.
func fieldsOf(t reflect.Type, key string, rename func(string) string) []field {
	w := fieldWalk{key: key, rename: rename, seen: map[reflect.Type]bool{}}
	for level := []embeddedStruct{{typ: t, times: 1}}; len(level) > 0; {
		w.nextDepth = nil
		for _, e := range level {
			if !w.seen[e.typ] {
				w.seen[e.typ] = true
				w.walk(e)
			}
		}
		level = w.nextDepth
	}
	return dominant(w.fields)
}

// embeddedStruct is a struct with fields that count as fields of the outer struct.
type embeddedStruct struct {
	typ   reflect.Type
	index []int
	times int // number of occurrences at this depth; with more than one the fields hide each other
}

// fieldWalk visits a struct and its embedded structs, depth by depth.
type fieldWalk struct {
	key       string
	rename    func(string) string
	seen      map[reflect.Type]bool
	nextDepth []embeddedStruct // the embedded structs of the next depth
	fields    []field
}

func (w *fieldWalk) walk(e embeddedStruct) {
	for i := range e.typ.NumField() {
		f := e.typ.Field(i)
		tag := f.Tag.Get(w.key)
		name, options, _ := strings.Cut(tag, ",")
		index := append(slices.Clip(e.index), i)
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && canDissolve(f):
			w.embed(base(f.Type), index, e.times)
		case f.IsExported():
			one := field{
				name: name, index: index, typ: f.Type, tagged: name != "",
				omitEmpty: hasOption(options, "omitempty"), omitZero: hasOption(options, "omitzero"), quoted: hasOption(options, "string"),
			}
			if name == "" {
				one.name = w.rename(f.Name)
			}
			for range min(e.times, 2) {
				w.fields = append(w.fields, one)
			}
		}
	}
}

func (w *fieldWalk) embed(t reflect.Type, index []int, times int) {
	for i := range w.nextDepth {
		if w.nextDepth[i].typ == t {
			w.nextDepth[i].times += times
			return
		}
	}
	w.nextDepth = append(w.nextDepth, embeddedStruct{t, index, times})
}

// dominant keeps at most one field of each name.
func dominant(fields []field) []field {
	byName := map[string][]field{}
	for _, f := range fields {
		same := byName[f.name]
		if len(same) > 0 && rank(same[0], f) > 0 {
			same = nil
		}
		if len(same) == 0 || rank(same[0], f) == 0 {
			byName[f.name] = append(same, f)
		}
	}
	var left []field
	for _, same := range byName {
		if len(same) == 1 {
			left = append(left, same[0])
		}
	}
	slices.SortFunc(left, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return left
}

// rank is negative if a hides b, and positive if b hides a.
func rank(a, b field) int {
	tagged := map[bool]int{true: 0, false: 1}
	return cmp.Or(cmp.Compare(len(a.index), len(b.index)), cmp.Compare(tagged[a.tagged], tagged[b.tagged]))
}

// canDissolve reports whether the fields of an embedded field can be accessed. A nil
// pointer must also be settable.
func canDissolve(f reflect.StructField) bool {
	return base(f.Type).Kind() == reflect.Struct && (f.Type.Kind() == reflect.Struct || f.IsExported())
}

func base(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func hasOption(options, name string) bool { return slices.Contains(strings.Split(options, ","), name) }
