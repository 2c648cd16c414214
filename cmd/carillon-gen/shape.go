package main

import (
	"cmp"
	"fmt"
	"go/token"
	"go/types"
	"slices"
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
	rawKind      kind = "raw" // any value by JSON, and bytes by MessagePack
	arrayKind    kind = "array"
	fixedKind    kind = "fixedArray"
	mapKind      kind = "map"
	nullableKind kind = "nullable"
	namedKind    kind = "named"
)

// plainKinds are the kinds that -map can give to a type.
var plainKinds = []kind{textKind, boolKind, integerKind, longKind, numberKind, bytesKind, timeKind, durationKind, decimalKind, offsetKind, anyKind}

// shape is a type as it is on the wire.
type shape struct {
	kind   kind
	elem   *shape // of an array, a map, a nullable
	length int64  // of a fixed array
	name   string // of a named one
}

// String returns the spelling in the contract file.
func (s *shape) String() string {
	switch s.kind {
	case arrayKind:
		return "[]" + s.elem.String()
	case fixedKind:
		return fmt.Sprintf("[%d]%s", s.length, s.elem)
	case mapKind:
		return "map[string]" + s.elem.String()
	case nullableKind:
		return s.elem.String() + "?"
	case namedKind:
		return s.name
	}
	return string(s.kind)
}

// isLong reports whether values, or elements of them, are integers that may exceed
// JavaScript's 2^53.
func (s *shape) isLong() bool {
	for s.elem != nil {
		s = s.elem
	}
	return s.kind == longKind
}

// definition is a named type: a struct or an enumeration.
type definition struct {
	name          string
	json, msgpack []field
	values        []string // the values of an enumeration, as literals
}

// place is where a type was met, for errors.
type place struct {
	pos token.Pos
	at  string
}

// shapes finds the shapes of types, and collects the named ones.
type shapes struct {
	contract *contract
	mapped   map[string]kind
	packed   bool                   // the TypeScript is for MessagePack
	defined  map[string]*definition // by name
	names    map[string]string      // of types, by their spelling in Go
}

func newShapes(c *contract, s settings) *shapes {
	return &shapes{contract: c, mapped: s.mapped, packed: s.protocol == messagePack, defined: map[string]*definition{}, names: map[string]string{}}
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
	"encoding/json.RawMessage":                                rawKind,
}

// of returns the shape of t; nil if it has none, which is a fault.
func (s *shapes) of(t types.Type, at place, faults *faults) *shape {
	t = types.Unalias(t)
	spelling := types.TypeString(t, nil)
	if k, ok := s.mapped[spelling]; ok {
		return &shape{kind: k}
	}
	if k, ok := known[spelling]; ok {
		return &shape{kind: k}
	}
	if len(spelling) > maxSpelling {
		faults.add(at.pos, "%s: the type contains ever larger types", at.at)
		return nil
	}
	if named, ok := t.(*types.Named); ok {
		return s.ofNamed(named, at, faults)
	}
	return s.ofUnderlying(t, at, faults)
}

// maxSpelling is the length at which a type counts as a generic one that contains itself
// with other arguments.
const maxSpelling = 4000

func (s *shapes) ofUnderlying(t types.Type, at place, faults *faults) *shape {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return s.ofBasic(u, at, faults)
	case *types.Pointer:
		return s.wrap(shape{kind: nullableKind}, u.Elem(), at, faults)
	case *types.Slice:
		if b, ok := u.Elem().Underlying().(*types.Basic); ok && b.Kind() == types.Byte {
			return &shape{kind: bytesKind}
		}
		return s.wrap(shape{kind: arrayKind}, u.Elem(), at, faults)
	case *types.Array:
		return s.wrap(shape{kind: fixedKind, length: u.Len()}, u.Elem(), at, faults)
	case *types.Map:
		return s.ofMap(u, at, faults)
	case *types.Interface:
		if u.Empty() {
			return &shape{kind: anyKind}
		}
	case *types.Struct:
		faults.add(at.pos, "%s: a struct needs a name", at.at)
		return nil
	case *types.Chan, *types.Signature:
		faults.add(at.pos, "%s: the type %s has no equivalent on the wire; a stream is an iter.Seq2[T, error], as a parameter or as the result", at.at, t)
		return nil
	}
	faults.add(at.pos, "%s: the type %s has no equivalent on the wire", at.at, t)
	return nil
}

func (s *shapes) ofBasic(t *types.Basic, at place, faults *faults) *shape {
	switch info := t.Info(); {
	case t.Kind() == types.Invalid:
		faults.add(at.pos, "%s: %s", at.at, s.contract.reason(at.pos))
		return nil
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

// ofMap accepts keys that both protocols write as strings.
func (s *shapes) ofMap(t *types.Map, at place, faults *faults) *shape {
	named, ok := types.Unalias(t.Key()).(*types.Named)
	isText := ok && hasMethod(named, "MarshalText")
	key, ok := t.Key().Underlying().(*types.Basic)
	if !isText && (!ok || key.Info()&types.IsString == 0) {
		faults.add(at.pos, "%s: the keys of a map must be strings, not %s: JavaScript's objects have no others", at.at, t.Key())
		return nil
	}
	return s.wrap(shape{kind: mapKind}, t.Elem(), at, faults)
}

func (s *shapes) wrap(outer shape, elem types.Type, at place, faults *faults) *shape {
	e := s.of(elem, at, faults)
	switch {
	case e == nil:
		return nil
	case outer.kind == nullableKind && e.kind == nullableKind:
		return e
	}
	outer.elem = e
	return &outer
}

// ofNamed returns the shape of a named type. Structs and enumerations keep their names.
func (s *shapes) ofNamed(t *types.Named, at place, faults *faults) *shape {
	switch {
	case hasMethod(t, "MarshalJSON") || s.packed && hasMethod(t, "MarshalMsg"):
		faults.add(at.pos, "%s: %s encodes itself; its form on the wire is not known; tell it by -map %s=string, or another kind", at.at, t, t)
		return nil
	case hasMethod(t, "MarshalText"):
		return &shape{kind: textKind}
	}
	values := s.enumeration(t)
	st, isStruct := t.Underlying().(*types.Struct)
	if !isStruct && len(values) == 0 {
		return s.ofUnderlying(t, at, faults)
	}
	key := types.TypeString(t, nil)
	if name, ok := s.names[key]; ok {
		return &shape{kind: namedKind, name: name}
	}
	d := &definition{name: s.freeName(t), values: values}
	s.names[key], s.defined[d.name] = d.name, d
	if isStruct {
		s.fields(d, st, faults)
	}
	return &shape{kind: namedKind, name: d.name}
}

func hasMethod(t *types.Named, name string) bool {
	m, _, _ := types.LookupFieldOrMethod(types.NewPointer(t), false, t.Obj().Pkg(), name)
	f, ok := m.(*types.Func)
	return ok && f.Exported()
}
