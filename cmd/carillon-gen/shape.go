package main

import (
	"cmp"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// kind is how a value looks on the wire.
type kind string

const (
	textKind     kind = "string"
	boolKind     kind = "boolean"
	integerKind  kind = "integer"
	longKind     kind = "long" // an integer that may exceed JavaScript's 2^53
	numberKind   kind = "number"
	bytesKind    kind = "bytes"
	timeKind     kind = "time"
	durationKind kind = "duration"
	decimalKind  kind = "decimal"
	offsetKind   kind = "timeWithOffset"
	anyKind      kind = "any"
	arrayKind    kind = "array"
	mapKind      kind = "map"
	nullableKind kind = "nullable"
	namedKind    kind = "named"
)

// shape is a type as it is on the wire.
type shape struct {
	kind kind
	elem *shape // of an array, a map, a nullable
	name string // of a named one
}

// String returns the spelling in the contract file.
func (s *shape) String() string {
	switch s.kind {
	case arrayKind:
		return "[]" + s.elem.String()
	case mapKind:
		return "map[string]" + s.elem.String()
	case nullableKind:
		return s.elem.String() + "?"
	case namedKind:
		return s.name
	}
	return string(s.kind)
}

// definition is a named type: a struct or an enumeration.
type definition struct {
	name   string
	typ    types.Type
	fields []field
	values []string // the values of an enumeration, as literals
}

// field is a field of a struct on the wire.
type field struct {
	json, msgpack string // names
	goName        string
	shape         *shape
	optional      bool // left out when it is empty
	quoted        bool // by JSON, within a string
	inJSON        bool // not if its tag is "-"
	inMsgpack     bool
}

// place is where a type was met, for errors.
type place struct {
	pos token.Pos
	at  string
}

// shapes finds the shapes of types, and collects the named ones.
type shapes struct {
	contract *contract
	defined  map[string]*definition // by name
	names    map[string]string      // of types, by their spelling in Go
}

func newShapes(c *contract) *shapes {
	return &shapes{contract: c, defined: map[string]*definition{}, names: map[string]string{}}
}

// definitions returns the named types, ordered by name.
func (s *shapes) definitions() []*definition {
	all := make([]*definition, 0, len(s.defined))
	for _, d := range s.defined {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *definition) int { return cmp.Compare(a.name, b.name) })
	return all
}

// known are types with a spelling of their own on the wire.
var known = map[string]kind{
	"time.Time":            timeKind,
	"time.Duration":        durationKind,
	"encoding/json.Number": decimalKind,
	"github.com/carillon-go/carillon/protocol.Guid":           textKind,
	"github.com/carillon-go/carillon/protocol.DateTimeOffset": offsetKind,
	"encoding/json.RawMessage":                                anyKind,
}

// of returns the shape of t; nil if it has none, which is a fault.
func (s *shapes) of(t types.Type, at place, faults *faults) *shape {
	t = types.Unalias(t)
	if k, ok := known[types.TypeString(t, nil)]; ok {
		return &shape{kind: k}
	}
	if named, ok := t.(*types.Named); ok {
		return s.ofNamed(named, at, faults)
	}
	return s.ofUnderlying(t, at, faults)
}

func (s *shapes) ofUnderlying(t types.Type, at place, faults *faults) *shape {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return s.ofBasic(t, at, faults)
	case *types.Pointer:
		return s.wrap(nullableKind, t.Elem(), at, faults)
	case *types.Slice:
		if b, ok := t.Elem().Underlying().(*types.Basic); ok && b.Kind() == types.Byte {
			return &shape{kind: bytesKind}
		}
		return s.wrap(arrayKind, t.Elem(), at, faults)
	case *types.Array:
		return s.wrap(arrayKind, t.Elem(), at, faults)
	case *types.Map:
		return s.ofMap(t, at, faults)
	case *types.Interface:
		if t.Empty() {
			return &shape{kind: anyKind}
		}
	case *types.Struct:
		faults.add(at.pos, "%s: a struct needs a name", at.at)
		return nil
	}
	faults.add(at.pos, "%s: the type %s has no equivalent on the wire", at.at, t)
	return nil
}

func (s *shapes) ofBasic(t *types.Basic, at place, faults *faults) *shape {
	switch info := t.Info(); {
	case info&types.IsString != 0:
		return &shape{kind: textKind}
	case info&types.IsBoolean != 0:
		return &shape{kind: boolKind}
	case t.Kind() == types.Int64 || t.Kind() == types.Uint64:
		return &shape{kind: longKind}
	case info&types.IsInteger != 0:
		return &shape{kind: integerKind}
	case info&types.IsFloat != 0:
		return &shape{kind: numberKind}
	}
	faults.add(at.pos, "%s: the type %s has no equivalent on the wire", at.at, t)
	return nil
}

func (s *shapes) ofMap(t *types.Map, at place, faults *faults) *shape {
	key, ok := t.Key().Underlying().(*types.Basic)
	if !ok || key.Info()&types.IsString == 0 {
		faults.add(at.pos, "%s: the keys of a map must be strings, not %s: JavaScript's objects have no others", at.at, t.Key())
		return nil
	}
	return s.wrap(mapKind, t.Elem(), at, faults)
}

func (s *shapes) wrap(k kind, elem types.Type, at place, faults *faults) *shape {
	e := s.of(elem, at, faults)
	switch {
	case e == nil:
		return nil
	case k == nullableKind && e.kind == nullableKind:
		return e
	}
	return &shape{kind: k, elem: e}
}

// ofNamed returns the shape of a named type. Structs and enumerations keep their names.
func (s *shapes) ofNamed(t *types.Named, at place, faults *faults) *shape {
	switch {
	case hasMethod(t, "MarshalJSON"):
		faults.add(at.pos, "%s: %s encodes itself; its form on the wire is not known", at.at, t)
		return nil
	case hasMethod(t, "MarshalText"):
		return &shape{kind: textKind}
	}
	values := s.enumeration(t)
	_, isStruct := t.Underlying().(*types.Struct)
	if !isStruct && len(values) == 0 {
		return s.ofUnderlying(t, at, faults)
	}
	key := types.TypeString(t, nil)
	if name, ok := s.names[key]; ok {
		return &shape{kind: namedKind, name: name}
	}
	d := &definition{name: s.freeName(t), typ: t, values: values}
	s.names[key], s.defined[d.name] = d.name, d
	if isStruct {
		s.fields(d, faults)
	}
	return &shape{kind: namedKind, name: d.name}
}

func hasMethod(t *types.Named, name string) bool {
	m, _, _ := types.LookupFieldOrMethod(types.NewPointer(t), false, t.Obj().Pkg(), name)
	f, ok := m.(*types.Func)
	return ok && f.Exported()
}

// freeName returns the name of a type in TypeScript and in the contract: its own, with
// the arguments of a generic type, and with its package if another type has that name.
func (s *shapes) freeName(t *types.Named) string {
	name := t.Obj().Name()
	for arg := range t.TypeArgs().Types() {
		name += upperFirst(identifier(types.TypeString(arg, func(*types.Package) string { return "" })))
	}
	_, taken := s.defined[name]
	if (taken || name == s.contract.hub || name == s.contract.client) && t.Obj().Pkg() != nil {
		name = upperFirst(t.Obj().Pkg().Name()) + name
	}
	for i, base := 2, name; s.defined[name] != nil; i++ {
		name = fmt.Sprint(base, i)
	}
	return name
}

// identifier leaves out the characters that an identifier cannot contain.
func identifier(text string) string {
	var b strings.Builder
	up := false
	for _, r := range text {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// enumeration returns the exported constants of a type, in their order of declaration.
func (s *shapes) enumeration(t *types.Named) (values []string) {
	if _, ok := t.Underlying().(*types.Basic); !ok || t.Obj().Pkg() == nil {
		return nil
	}
	scope := t.Obj().Pkg().Scope()
	var constants []*types.Const
	for _, name := range scope.Names() {
		if c, ok := scope.Lookup(name).(*types.Const); ok && c.Exported() && types.Identical(c.Type(), t) {
			constants = append(constants, c)
		}
	}
	slices.SortFunc(constants, func(a, b *types.Const) int { return cmp.Compare(a.Pos(), b.Pos()) })
	for _, c := range constants {
		if literal := literalOf(c.Val()); !slices.Contains(values, literal) {
			values = append(values, literal)
		}
	}
	return values
}

func literalOf(v constant.Value) string {
	if v.Kind() == constant.String {
		return quoteTS(constant.StringVal(v))
	}
	return v.ExactString()
}

// fields lists the fields of a struct by the rules of package protocol.
func (s *shapes) fields(d *definition, faults *faults) {
	st := d.typ.Underlying().(*types.Struct)
	for i := range st.NumFields() {
		v, tag := st.Field(i), reflect.StructTag(st.Tag(i))
		if v.Embedded() && s.dissolve(d, v, tag, faults) || !v.Exported() {
			continue
		}
		f := newField(v.Name(), tag)
		if !f.inJSON && !f.inMsgpack {
			continue
		}
		f.shape = s.of(v.Type(), place{v.Pos(), d.name + "." + v.Name()}, faults)
		s.warn(d, v, tag, f)
		d.fields = slices.DeleteFunc(d.fields, func(o field) bool { return o.goName == f.goName }) // an embedded one is hidden
		d.fields = append(d.fields, f)
	}
}

// dissolve adds the fields of an embedded struct, if they count as the outer struct's.
func (s *shapes) dissolve(d *definition, v *types.Var, tag reflect.StructTag, faults *faults) bool {
	name, _, _ := strings.Cut(tag.Get("json"), ",")
	t := types.Unalias(v.Type())
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if _, ok := t.Underlying().(*types.Struct); !ok || name != "" {
		return false
	}
	inner := &definition{name: d.name, typ: t}
	s.fields(inner, faults)
	for _, f := range inner.fields {
		if !slices.ContainsFunc(d.fields, func(o field) bool { return o.goName == f.goName }) {
			d.fields = append(d.fields, f)
		}
	}
	return true
}

func newField(name string, tag reflect.StructTag) field {
	f := field{goName: name, json: camelCase(name), msgpack: name, inJSON: true, inMsgpack: true}
	spelled, options, _ := strings.Cut(tag.Get("json"), ",")
	if spelled != "" {
		f.json = spelled
	}
	f.inJSON = tag.Get("json") != "-"
	if packed, more, _ := strings.Cut(tag.Get("msgpack"), ","); packed != "" {
		f.msgpack, f.inMsgpack = packed, tag.Get("msgpack") != "-"
		options += "," + more
	}
	for o := range strings.SplitSeq(options, ",") {
		f.optional = f.optional || o == "omitempty" || o == "omitzero"
		f.quoted = f.quoted || o == "string"
	}
	return f
}

func (s *shapes) warn(d *definition, v *types.Var, tag reflect.StructTag, f field) {
	at := s.contract.fset.Position(v.Pos())
	if _, ok := tag.Lookup("json"); !ok {
		s.contract.warnings = append(s.contract.warnings, fmt.Sprintf("%s: %s.%s has no json tag: it is %q by JSON and %q by MessagePack", at, d.name, v.Name(), f.json, f.msgpack))
	}
	if f.shape != nil && f.shape.kind == longKind && !f.quoted {
		s.contract.warnings = append(s.contract.warnings, fmt.Sprintf("%s: %s.%s has 64 bits, and JavaScript's numbers are exact up to 2^53; the tag `json:\",string\"` sends text", at, d.name, v.Name()))
	}
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
