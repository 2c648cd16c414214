package protocol

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/tinylib/msgp/msgp"
)

func (p *MessagePack) pointerDecoder(t reflect.Type) packDecodeFunc {
	element := p.decoders.later(t.Elem())
	return func(r *packReader, v reflect.Value) error {
		if r.null() {
			v.SetZero()
			return nil
		}
		v.Set(reflect.New(t.Elem()))
		return element()(r, v.Elem())
	}
}

func (p *MessagePack) sliceDecoder(t reflect.Type) packDecodeFunc {
	if t.Elem().Kind() == reflect.Uint8 {
		return decodePackBytes
	}
	element := p.decoders.later(t.Elem())
	return func(r *packReader, v reflect.Value) error {
		if r.null() {
			v.SetZero()
			return nil
		}
		n, err := r.array()
		if err != nil {
			return err
		}
		// The peer can announce any length, so the first allocation is bounded.
		v.Set(reflect.MakeSlice(t, 0, min(n, 64)))
		for range n {
			if err := element()(r, extend(v)); err != nil {
				return err
			}
		}
		r.depth--
		return nil
	}
}

// array enters an array and returns its length. Any other value is an error.
func (r *packReader) array() (int, error) {
	n, err := r.arrayHeader()
	if err == nil {
		err = r.enter()
	}
	return n, err
}

// mapping enters a map and returns the number of its pairs. Any other value is an error.
func (r *packReader) mapping() (int, error) {
	n, err := r.mapHeader()
	if err == nil {
		err = r.enter()
	}
	return n, err
}

// decodePackBytes decodes bytes from bytes, a string or an array of small numbers.
func decodePackBytes(r *packReader, v reflect.Value) error {
	if msgp.NextType(r.data) != msgp.ArrayType {
		return decodePackRaw(r, v)
	}
	n, err := r.arrayHeader()
	if err != nil {
		return err
	}
	list := make([]byte, n)
	for i := range list {
		b, err := r.readUint(8)
		if err != nil {
			return err
		}
		list[i] = byte(b)
	}
	v.SetBytes(list)
	return nil
}

// decodePackRaw decodes bytes or a string. .NET accepts no other form for bytes within an
// object.
func decodePackRaw(r *packReader, v reflect.Value) error {
	if r.null() {
		v.SetZero()
		return nil
	}
	forms := binForms
	if msgp.NextType(r.data) == msgp.StrType {
		forms = strForms
	}
	b, err := r.content(forms)
	if err != nil {
		return err
	}
	v.SetBytes(append([]byte{}, b...))
	return nil
}

// arrayDecoder requires exactly as many elements as the array has.
func (p *MessagePack) arrayDecoder(t reflect.Type) packDecodeFunc {
	element := p.decoders.later(t.Elem())
	return func(r *packReader, v reflect.Value) error {
		n, err := r.array()
		if err == nil && n != t.Len() {
			err = errOutOfRange
		}
		if err != nil {
			return err
		}
		for i := range n {
			if err := element()(r, v.Index(i)); err != nil {
				return err
			}
		}
		r.depth--
		return nil
	}
}

func (p *MessagePack) mapDecoder(t reflect.Type) packDecodeFunc {
	key, element := p.decoders.later(t.Key()), p.decoders.later(t.Elem())
	return func(r *packReader, v reflect.Value) error {
		if r.null() {
			v.SetZero()
			return nil
		}
		n, err := r.mapping()
		if err != nil {
			return err
		}
		v.Set(reflect.MakeMap(t))
		for range n {
			k, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if err := key()(r, k); err != nil {
				return err
			}
			if !k.Comparable() {
				return errNoKey
			}
			if err := element()(r, e); err != nil {
				return err
			}
			v.SetMapIndex(k, e)
		}
		r.depth--
		return nil
	}
}

func (p *MessagePack) structDecoder(t reflect.Type) packDecodeFunc {
	members := newMembers(packFields(t), &p.decoders)
	for _, m := range members.list {
		if m.typ.Kind() == reflect.Slice && m.typ.Elem().Kind() == reflect.Uint8 {
			m.decode = func() packDecodeFunc { return decodePackRaw }
		}
	}
	return func(r *packReader, v reflect.Value) error {
		n, err := r.mapping()
		if err != nil {
			return err
		}
		for range n {
			name, isNil, err := r.text()
			m := members.find(name, false)
			switch {
			case err != nil:
			case isNil:
				err = errNoKey
			case m == nil:
				err = r.skip()
			default:
				err = m.decode()(r, m.of(v))
			}
			if err != nil {
				return err
			}
		}
		r.depth--
		return nil
	}
}

func decodePackAny(r *packReader, v reflect.Value) error {
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

func (r *packReader) readAny() (any, error) {
	switch msgp.NextType(r.data) {
	case msgp.NilType:
		r.null()
		return nil, nil
	case msgp.BoolType:
		return r.bool()
	case msgp.IntType:
		return r.int()
	case msgp.UintType:
		n, err := r.uint()
		if n > math.MaxInt64 {
			return n, err
		}
		return int64(n), err
	case msgp.Float32Type:
		f, err := r.float()
		return float32(f), err
	case msgp.Float64Type:
		return r.float()
	case msgp.StrType:
		return r.readString()
	case msgp.BinType:
		b, err := r.content(binForms)
		if err != nil {
			return nil, err
		}
		return append([]byte{}, b...), nil
	case msgp.ArrayType:
		return r.readAnyList()
	case msgp.MapType:
		return r.readAnyMap()
	}
	return r.readTimestamp()
}

func (r *packReader) readAnyList() (any, error) {
	n, err := r.array()
	if err != nil {
		return nil, err
	}
	list := []any{}
	for range n {
		x, err := r.readAny()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	r.depth--
	return list, nil
}

var errNoKey = errors.New("protocol: the value cannot be the key of a map")

// readAnyMap reads a map with keys that are strings, or numbers and other scalars, which
// become strings.
func (r *packReader) readAnyMap() (any, error) {
	n, err := r.mapping()
	if err != nil {
		return nil, err
	}
	m := map[string]any{}
	for range n {
		k, err := r.readAny()
		if err != nil {
			return nil, err
		}
		switch k.(type) {
		case nil, []any, []byte, map[string]any:
			return nil, errNoKey
		}
		if m[fmt.Sprint(k)], err = r.readAny(); err != nil {
			return nil, err
		}
	}
	r.depth--
	return m, nil
}
