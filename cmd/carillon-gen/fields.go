package main

import (
	"cmp"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is a field of a struct as one hub protocol writes it.
type field struct {
	name     string
	shape    *shape
	optional bool // it may be left out
	filled   bool // it is left out when it is empty: it is never null
	quoted   bool // the value is text within a string

	path   []int // indexes into the struct and its embedded structs
	tagged bool  // name is from the tag
	v      *types.Var
	tags   reflect.StructTag
}

// fields fills in the fields of a struct for both protocols.
func (s *shapes) fields(d *definition, st *types.Struct, faults *faults) {
	made := map[*types.Var]*shape{}
	shaped := func(all []field) []field {
		return slices.DeleteFunc(all, func(f field) bool {
			if _, ok := made[f.v]; !ok {
				made[f.v] = s.ofField(d, f, faults)
			}
			return made[f.v] == nil
		})
	}
	d.json = shaped(fieldsOf(st, "json", camelCase))
	d.msgpack = shaped(fieldsOf(st, "msgpack", func(name string) string { return name }))
	for _, all := range [][]field{d.json, d.msgpack} {
		for i := range all {
			all[i].shape = made[all[i].v]
		}
	}
	s.warnFields(d)
}

// ofField returns the shape of a field; nil if it has none. That is a fault, unless a tag
// excludes the field from one of the protocols: an application that uses only that one
// needs no more.
func (s *shapes) ofField(d *definition, f field, all *faults) *shape {
	if f.tags.Get("json") == "-" || f.tags.Get("msgpack") == "-" {
		all = &faults{fset: all.fset}
	}
	return s.of(f.v.Type(), place{f.v.Pos(), d.name + "." + f.v.Name()}, all)
}

// objectMembers are the members of every object. TypeScript takes them for a field that is
// missing.
var objectMembers = strings.Fields("constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf")

func (s *shapes) warnFields(d *definition) {
	for _, f := range d.json {
		if _, ok := f.tags.Lookup("json"); !ok {
			s.contract.warn(f.v.Pos(), "%s.%s has no json tag: it is %q by JSON and %q by MessagePack", d.name, f.v.Name(), f.name, cmp.Or(f.tags.Get("msgpack"), f.v.Name()))
		}
		if f.optional && slices.Contains(objectMembers, f.name) {
			s.contract.warn(f.v.Pos(), "%s.%s may be missing, and every object of JavaScript has a member %s; name it otherwise", d.name, f.v.Name(), f.name)
		}
		if f.shape.isLong() && !f.quoted {
			s.contract.warn(f.v.Pos(), "%s.%s has 64 bits, and JavaScript's numbers are exact up to 2^53; the tag `json:\",string\"` sends text", d.name, f.v.Name())
		}
	}
}

// fieldsOf lists the fields of a struct in the order of declaration, as package protocol
// does: exported fields; the fields of embedded structs without a name count as fields of
// the outer struct. Of several fields with one name the shallowest is used; at equal depth
// the only one with the name in its tag; otherwise none.
func fieldsOf(st *types.Struct, key string, rename func(string) string) []field {
	w := fieldWalk{key: key, rename: rename, seen: map[string]bool{}}
	for level := []embedded{{st: st, times: 1}}; len(level) > 0; {
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

// embedded is a struct with fields that count as fields of the outer struct.
type embedded struct {
	typ      string // its spelling; empty: the outer struct
	st       *types.Struct
	path     []int
	optional bool // a pointer leads to it
	times    int  // number of occurrences at this depth; with more than one the fields hide each other
}

// fieldWalk visits a struct and its embedded structs, depth by depth.
type fieldWalk struct {
	key       string // of the tags
	rename    func(string) string
	seen      map[string]bool
	nextDepth []embedded
	fields    []field
}

func (w *fieldWalk) walk(e embedded) {
	for i := range e.st.NumFields() {
		v, tags := e.st.Field(i), reflect.StructTag(e.st.Tag(i))
		tag := tags.Get(w.key)
		name, options, _ := strings.Cut(tag, ",")
		f := field{name: cmp.Or(name, w.rename(v.Name())), path: append(slices.Clip(e.path), i), tagged: name != "", v: v, tags: tags}
		switch {
		case tag == "-":
		case v.Embedded() && name == "" && w.embed(f, e):
		case v.Exported():
			for o := range strings.SplitSeq(options, ",") {
				f.filled = f.filled || o == "omitempty" || o == "omitzero"
				f.quoted = f.quoted || o == "string" && w.key == "json" && isQuotable(v.Type())
			}
			f.optional = f.filled || e.optional
			for range min(e.times, 2) {
				w.fields = append(w.fields, f)
			}
		}
	}
}

// embed notes an embedded struct for the next depth. It returns false for other fields.
func (w *fieldWalk) embed(f field, outer embedded) bool {
	t, pointer := unpointed(f.v.Type())
	st, ok := t.Underlying().(*types.Struct)
	if !ok || pointer && !f.v.Exported() {
		return false
	}
	e := embedded{types.TypeString(t, nil), st, f.path, pointer || outer.optional, outer.times}
	if i := slices.IndexFunc(w.nextDepth, func(o embedded) bool { return o.typ == e.typ }); i >= 0 {
		w.nextDepth[i].times += e.times
	} else {
		w.nextDepth = append(w.nextDepth, e)
	}
	return true
}

func unpointed(t types.Type) (types.Type, bool) {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return types.Unalias(p.Elem()), true
	}
	return types.Unalias(t), false
}

// isQuotable reports whether the option "string" of a tag applies to a type.
func isQuotable(t types.Type) bool {
	t, _ = unpointed(t)
	if k, ok := known[types.TypeString(t, nil)]; ok {
		return k == decimalKind
	}
	if named, ok := t.(*types.Named); ok && (hasMethod(named, "MarshalJSON") || hasMethod(named, "MarshalText")) {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsBoolean|types.IsNumeric|types.IsString) != 0
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
	slices.SortFunc(left, func(a, b field) int { return slices.Compare(a.path, b.path) })
	return left
}

// rank is negative if a hides b, and positive if b hides a.
func rank(a, b field) int {
	tagged := map[bool]int{true: 0, false: 1}
	return cmp.Or(cmp.Compare(len(a.path), len(b.path)), cmp.Compare(tagged[a.tagged], tagged[b.tagged]))
}

// camelCase names an untagged field as the JSON protocol does, which follows
// System.Text.Json: leading capitals become lower case, except for the last one if a
// lower-case letter follows.
func camelCase(name string) string {
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsUpper(r) || i > 0 && i+1 < len(runes) && !unicode.IsUpper(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(r)
	}
	return string(runes)
}
