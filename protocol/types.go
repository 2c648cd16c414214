package protocol

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
	"time"
	"unicode"
)

// typeCache computes a value once per type, so that encoding and decoding need no
// reflection look-ups for each value.
type typeCache[F any] struct {
	made  sync.Map // reflect.Type -> F
	build func(reflect.Type) F
}

func (c *typeCache[F]) of(t reflect.Type) F {
	if f, ok := c.made.Load(t); ok {
		return f.(F)
	}
	f := c.build(t)
	c.made.Store(t, f)
	return f
}

// later returns a function that looks t up at its first call, because types may contain
// themselves.
func (c *typeCache[F]) later(t reflect.Type) func() F {
	return sync.OnceValue(func() F { return c.of(t) })
}

var (
	timeType            = reflect.TypeFor[time.Time]()
	durationType        = reflect.TypeFor[time.Duration]()
	numberType          = reflect.TypeFor[json.Number]()
	rawMessageType      = reflect.TypeFor[json.RawMessage]()
	guidType            = reflect.TypeFor[Guid]()
	jsonMarshalerType   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isZeroer is implemented by types with a zero value of their own.
type isZeroer interface{ IsZero() bool }

var isZeroerType = reflect.TypeFor[isZeroer]()

// in returns the field of v. It returns false if the field is not written, or is part of
// an embedded pointer that is nil.
func (f *field) in(v reflect.Value) (reflect.Value, bool) {
	if len(f.index) == 1 {
		v = v.Field(f.index[0])
	} else {
		var err error
		if v, err = v.FieldByIndexErr(f.index); err != nil {
			return v, false
		}
	}
	if f.omitEmpty && isEmpty(v) || f.omitZero && isZero(v) {
		return v, false
	}
	return v, true
}

// of returns the field of v for decoding. Embedded nil pointers get a value.
func (f *field) of(v reflect.Value) reflect.Value {
	for i, n := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v
}

// isZero asks the value if its type has a zero value of its own, such as [time.Time].
func isZero(v reflect.Value) bool {
	switch {
	case v.IsZero():
		return true
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		return false
	case v.Type().Implements(isZeroerType):
		return v.Interface().(isZeroer).IsZero()
	case v.CanAddr() && v.Addr().Type().Implements(isZeroerType):
		return v.Addr().Interface().(isZeroer).IsZero()
	}
	return false
}

// extend appends an element to a slice and returns the element.
func extend(v reflect.Value) reflect.Value {
	n := v.Len()
	if n == v.Cap() {
		v.Grow(max(4, n))
	}
	v.SetLen(n + 1)
	v.Index(n).SetZero()
	return v.Index(n)
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// camelCase implements System.Text.Json's naming policy: leading capitals become lower
// case, except for the last one if a lower-case letter follows.
func camelCase(name string) string {
	b := []rune(name)
	for i, c := range b {
		if !unicode.IsUpper(c) || i > 0 && i+1 < len(b) && !unicode.IsUpper(b[i+1]) {
			break
		}
		b[i] = unicode.ToLower(c)
	}
	return string(b)
}

// typeName returns .NET's name of t's counterpart, without its namespace.
func typeName(t reflect.Type) string {
	switch t {
	case timeType:
		return "DateTime"
	case durationType:
		return "TimeSpan"
	case numberType:
		return "Decimal"
	}
	if name, ok := kindNames[t.Kind()]; ok && t.PkgPath() == "" {
		return name
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return typeName(t.Elem()) + "[]"
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Interface:
		return "Object"
	case reflect.Map:
		return "Dictionary`2"
	}
	return t.Name()
}

var kindNames = map[reflect.Kind]string{
	reflect.Bool: "Boolean", reflect.String: "String", reflect.Float32: "Single", reflect.Float64: "Double",
	reflect.Int: "Int64", reflect.Int8: "SByte", reflect.Int16: "Int16", reflect.Int32: "Int32", reflect.Int64: "Int64",
	reflect.Uint: "UInt64", reflect.Uint8: "Byte", reflect.Uint16: "UInt16", reflect.Uint32: "UInt32", reflect.Uint64: "UInt64",
}

// fullTypeName is typeName with the namespace System for .NET's own types. The namespace
// of an application's type is unknown.
func fullTypeName(t reflect.Type) string {
	if base(t).PkgPath() == "" || base(t) == timeType || base(t) == dateTimeOffsetType || base(t) == durationType {
		return "System." + typeName(t)
	}
	return typeName(t)
}
