package protocol

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

func (p *JSON) pointerDecoder(t reflect.Type) jsonDecodeFunc {
	element := p.decoders.later(t.Elem())
	return func(r *jsonReader, v reflect.Value) error {
		if isNull, err := r.null(); isNull || err != nil {
			v.SetZero()
			return err
		}
		v.Set(reflect.New(t.Elem()))
		return element()(r, v.Elem())
	}
}

func (p *JSON) sliceDecoder(t reflect.Type) jsonDecodeFunc {
	if t.Elem().Kind() == reflect.Uint8 {
		return decodeJSONBytes
	}
	element := p.decoders.later(t.Elem())
	return func(r *jsonReader, v reflect.Value) error {
		if isNull, err := r.null(); isNull || err != nil {
			v.SetZero()
			return err
		}
		if err := r.array(t); err != nil {
			return err
		}
		v.Set(reflect.MakeSlice(t, 0, 0))
		for n := 0; ; n++ {
			more, err := r.element(n == 0)
			if err != nil || !more {
				return err
			}
			if err := element()(r, extend(v)); err != nil {
				return err
			}
		}
	}
}

// array enters an array. Any other value is an error.
func (r *jsonReader) array(wanted reflect.Type) error {
	if r.peek() != '[' {
		return r.wrong(wanted)
	}
	return r.enter()
}

func decodeJSONBytes(r *jsonReader, v reflect.Value) error {
	if isNull, err := r.null(); isNull || err != nil {
		v.SetZero()
		return err
	}
	text, err := r.readText(v.Type())
	if err != nil {
		return err
	}
	b, err := decodeBase64(text)
	if err != nil {
		return &mismatchError{wanted: v.Type(), err: err}
	}
	v.SetBytes(b)
	return nil
}

// decodeBase64 decodes padded base64 with white space anywhere.
func decodeBase64(text []byte) ([]byte, error) {
	if bytes.ContainsAny(text, " \t") {
		text = bytes.Map(func(r rune) rune {
			if r == ' ' || r == '\t' {
				return -1
			}
			return r
		}, text)
	}
	b := make([]byte, 0, base64.StdEncoding.DecodedLen(len(text)))
	return base64.StdEncoding.Strict().AppendDecode(b, text)
}

// arrayDecoder requires exactly as many elements as the array has.
func (p *JSON) arrayDecoder(t reflect.Type) jsonDecodeFunc {
	element := p.decoders.later(t.Elem())
	return func(r *jsonReader, v reflect.Value) error {
		if err := r.array(t); err != nil {
			return err
		}
		for n := 0; ; n++ {
			more, err := r.element(n == 0)
			switch {
			case err != nil:
				return err
			case more != (n < t.Len()):
				return &mismatchError{wanted: t}
			case !more:
				return nil
			}
			if err := element()(r, v.Index(n)); err != nil {
				return err
			}
		}
	}
}

// objectOf enters an object. Any other value is an error.
func (r *jsonReader) objectOf(wanted reflect.Type) error {
	if r.peek() != '{' {
		return r.wrong(wanted)
	}
	return r.enter()
}

// propertyName moves to the value of the next property, as property does, and decodes its
// name.
func (r *jsonReader) propertyName(first bool) (name []byte, more bool, err error) {
	name, escaped, more, err := r.property(first)
	if escaped && err == nil {
		name, err = unescape(name)
	}
	return name, more, err
}

func (p *JSON) mapDecoder(t reflect.Type) jsonDecodeFunc {
	element := p.decoders.later(t.Elem())
	return func(r *jsonReader, v reflect.Value) error {
		if isNull, err := r.null(); isNull || err != nil {
			v.SetZero()
			return err
		}
		if err := r.objectOf(t); err != nil {
			return err
		}
		v.Set(reflect.MakeMap(t))
		for first := true; ; first = false {
			name, more, err := r.propertyName(first)
			if err != nil || !more {
				return err
			}
			key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if err := setKey(key, name); err != nil {
				return err
			}
			if err := element()(r, value); err != nil {
				return err
			}
			v.SetMapIndex(key, value)
		}
	}
}

// setKey decodes the name of a property into the key of a map.
func setKey(key reflect.Value, name []byte) (err error) {
	if t, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
		err = t.UnmarshalText(name)
	} else {
		err = setPlainKey(key, string(name))
	}
	if err != nil {
		return &mismatchError{wanted: key.Type(), err: err}
	}
	return nil
}

func setPlainKey(key reflect.Value, name string) error {
	switch {
	case key.Kind() == reflect.String:
		key.SetString(name)
		return checkText([]byte(name))
	case key.CanInt():
		n, err := strconv.ParseInt(name, 10, key.Type().Bits())
		key.SetInt(n)
		return err
	case key.CanUint():
		n, err := strconv.ParseUint(name, 10, key.Type().Bits())
		key.SetUint(n)
		return err
	}
	return errors.New("protocol: the value cannot be the key of a map")
}

func (p *JSON) structDecoder(t reflect.Type) jsonDecodeFunc {
	members := newMembers(p.fieldsOf(t), &p.decoders)
	for _, m := range members.list {
		if m.quoted && p.isQuotable(m.typ) {
			m.decode = func() jsonDecodeFunc { return quotedDecoder(m.typ, p.decoders.of(m.typ)) }
		}
	}
	return func(r *jsonReader, v reflect.Value) error {
		if err := r.objectOf(t); err != nil {
			return err
		}
		for first := true; ; first = false {
			name, more, err := r.propertyName(first)
			if err != nil || !more {
				return err
			}
			if m := members.find(name, true); m != nil {
				err = m.decode()(r, m.of(v))
			} else {
				err = r.skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

// members are the fields of a struct by name, for decoding.
type members[F any] struct {
	exact map[string]*member[F]
	list  []*member[F]
}

type member[F any] struct {
	field
	decode func() F
}

func newMembers[F any](fields []field, decoders *typeCache[F]) *members[F] {
	m := &members[F]{exact: make(map[string]*member[F], len(fields))}
	for _, f := range fields {
		one := &member[F]{f, decoders.later(f.typ)}
		m.exact[f.name] = one
		m.list = append(m.list, one)
	}
	return m
}

// find returns the field with that name, or nil.
func (m *members[F]) find(name []byte, foldCase bool) *member[F] {
	if one := m.exact[string(name)]; one != nil || !foldCase {
		return one
	}
	for _, one := range m.list {
		if fold.Equal(one.name, string(name)) {
			return one
		}
	}
	return nil
}

// decodeJSONAny decodes into an empty interface. See readAnyNumber.
func decodeJSONAny(r *jsonReader, v reflect.Value) error {
	x, err := r.readAny()
	if err != nil {
		return err
	}
	if x == nil {
		v.SetZero()
		return nil
	}
	v.Set(reflect.ValueOf(x))
	return nil
}

func (r *jsonReader) readAny() (any, error) {
	switch r.peek() {
	case '"':
		return r.readString()
	case 't', 'f':
		return r.readBool()
	case 'n':
		return nil, r.literal("null")
	case '[':
		return r.readAnyList()
	case '{':
		return r.readAnyMap()
	}
	return r.readAnyNumber()
}

func (r *jsonReader) readAnyList() (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	list := []any{}
	for {
		more, err := r.element(len(list) == 0)
		if err != nil || !more {
			return list, err
		}
		x, err := r.readAny()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
}

func (r *jsonReader) readAnyMap() (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	m := map[string]any{}
	for first := true; ; first = false {
		name, more, err := r.propertyName(first)
		if err != nil || !more {
			return m, err
		}
		x, err := r.readAny()
		if err != nil {
			return nil, err
		}
		m[strings.ToValidUTF8(string(name), "\uFFFD")] = x
	}
}
