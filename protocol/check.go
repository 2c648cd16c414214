package protocol

import (
	"fmt"
	"reflect"
)

// CheckDecode returns an error if p can decode no value into t, or not all fields of a
// struct in it: t is or contains a channel, a function, a complex number, an interface with
// methods, or a map with keys of a type that p does not know. Types that decode themselves
// are accepted.
func CheckDecode(p HubProtocol, t reflect.Type) error {
	c := typeCheck{binary: p.Binary(), decode: true, seen: map[reflect.Type]bool{}}
	return c.check(t)
}

// CheckEncode is [CheckDecode] for values that p encodes. Interfaces are accepted,
// because their values are known only when they are encoded.
func CheckEncode(p HubProtocol, t reflect.Type) error {
	c := typeCheck{binary: p.Binary(), seen: map[reflect.Type]bool{}}
	return c.check(t)
}

// typeCheck checks a type and all types that it contains.
type typeCheck struct {
	binary, decode bool
	seen           map[reflect.Type]bool // types may contain themselves
}

func (c *typeCheck) check(t reflect.Type) error {
	if c.seen[t] {
		return nil
	}
	c.seen[t] = true
	if c.isKnown(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return inType(t, c.check(t.Elem()))
	case reflect.Map:
		if err := c.checkKey(t.Key()); err != nil {
			return inType(t, err)
		}
		return inType(t, c.check(t.Elem()))
	case reflect.Struct:
		return c.checkFields(t)
	case reflect.Interface:
		if c.decode && t.NumMethod() > 0 {
			return fmt.Errorf("%s is an interface with methods", t)
		}
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Invalid:
		return fmt.Errorf("%s is a %s", t, t.Kind())
	}
	return nil
}

// inType adds to err the type in which it was found.
func inType(t reflect.Type, err error) error {
	if err == nil || t.Name() == "" {
		return err
	}
	return fmt.Errorf("%s: %w", t, err)
}

// isKnown reports whether t, or a pointer to it, has methods to encode or decode itself.
func (c *typeCheck) isKnown(t reflect.Type) bool {
	switch t {
	case timeType, durationType, numberType, rawMessageType, guidType:
		return true
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return false
	}
	own, text := jsonMarshalerType, textMarshalerType
	switch {
	case c.decode && c.binary:
		own, text = packUnmarshalerType, textUnmarshalerType
	case c.decode:
		own, text = jsonUnmarshalerType, textUnmarshalerType
	case c.binary:
		own = packMarshalerType
	}
	pointer := reflect.PointerTo(t)
	return pointer.Implements(own) || pointer.Implements(text)
}

func (c *typeCheck) checkKey(t reflect.Type) error {
	switch {
	case c.decode && c.binary:
		return c.check(t)
	case c.decode && reflect.PointerTo(t).Implements(textUnmarshalerType), !c.decode && t.Implements(textMarshalerType):
		return nil
	}
	if k := t.Kind(); k == reflect.String || reflect.Int <= k && k <= reflect.Uintptr {
		return nil
	}
	return fmt.Errorf("%s is not supported as the key of a map", t)
}

// checkFields ignores fields that a tag of either protocol excludes.
func (c *typeCheck) checkFields(t reflect.Type) error {
	key := "json"
	if c.binary {
		key = "msgpack"
	}
	for _, f := range fieldsOf(t, key, func(name string) string { return name }) {
		declared := t.FieldByIndex(f.index)
		if declared.Tag.Get("json") == "-" || declared.Tag.Get("msgpack") == "-" {
			continue
		}
		if err := c.check(f.typ); err != nil {
			return fmt.Errorf("field %s of %s: %w", declared.Name, t, err)
		}
	}
	return nil
}

var decodesItself = typeCache[bool]{build: func(t reflect.Type) bool { return containsDecoder(t, map[reflect.Type]bool{}) }}

// DecodesItself reports whether decoding a value of t may call code that is neither of this
// package nor of Go's: t is or contains a type with a method UnmarshalJSON, UnmarshalText or
// UnmarshalMsg.
func DecodesItself(t reflect.Type) bool { return decodesItself.of(t) }

func containsDecoder(t reflect.Type, seen map[reflect.Type]bool) bool {
	switch t {
	case timeType, durationType, numberType, rawMessageType, guidType:
		return false
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	pointer := reflect.PointerTo(t)
	for _, own := range []reflect.Type{jsonUnmarshalerType, textUnmarshalerType, packUnmarshalerType} {
		if pointer.Implements(own) {
			return true
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return containsDecoder(t.Elem(), seen)
	case reflect.Map:
		return containsDecoder(t.Key(), seen) || containsDecoder(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if containsDecoder(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}
