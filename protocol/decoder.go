package protocol

import (
	"reflect"

	"github.com/carillon-go/carillon/internal/fold"
)

// decodeFunc reads the value at a reader's position into a value of its type. R is the reader of
// one encoding.
type decodeFunc[R any] func(r R, v reflect.Value) error

// valueReader reads the values of one encoding.
type valueReader interface {
	readNull() (bool, error) // reads a null if it is next
	readBool() (bool, error)
	readInt(bits int, wanted reflect.Type) (int64, error)
	readUint(bits int, wanted reflect.Type) (uint64, error)
	readFloat(bits int, wanted reflect.Type) (float64, error)
	readString() (string, error)
	readAny() (any, error)
	skip() error

	// readArray enters an array, and readMap enters a map. n is the number of their elements or
	// pairs, or 0 if the encoding does not announce it. Any other value is an error.
	readArray(wanted reflect.Type) (n int, err error)
	readMap(wanted reflect.Type) (n int, err error)
	// next moves to the element i of n, name to the value of the pair i, which has a string as
	// its key, and anyKey to the value of a pair with a key that becomes a string. At the end
	// they leave the array or the map, and more is false.
	next(i, n int) (more bool, err error)
	name(i, n int) (name []byte, more bool, err error)
	anyKey(i, n int) (key string, more bool, err error)

	// unexpected is the error of a value that cannot be decoded into the wanted type, and
	// unfit that of a value with a wrong number of elements.
	unexpected(wanted reflect.Type) error
	unfit(wanted reflect.Type) error
}

// decoderTable makes the decoders of one encoding.
type decoderTable[R valueReader] struct {
	typeCache[decodeFunc[R]]
	known  func(reflect.Type) decodeFunc[R] // of types that are not decoded by their kind; nil: none
	bytes  decodeFunc[R]                    // of slices of bytes
	fields func(reflect.Type) []field
	// member returns the decoder of a field if it differs from that of the field's type.
	member   func(field) func() decodeFunc[R]
	foldCase bool // names of fields are compared without case
	// key returns the function that moves to the value of the pair i of n and returns its key.
	key func(reflect.Type) func(r R, i, n int) (key reflect.Value, more bool, err error)
}

// decoder returns the function that decodes values of a type.
func (d *decoderTable[R]) decoder(t reflect.Type) decodeFunc[R] {
	if f := d.known(t); f != nil {
		return f
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(r R, v reflect.Value) error {
			b, err := r.readBool()
			v.SetBool(b)
			return err
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(r R, v reflect.Value) error {
			n, err := r.readInt(t.Bits(), t)
			v.SetInt(n)
			return err
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(r R, v reflect.Value) error {
			n, err := r.readUint(t.Bits(), t)
			v.SetUint(n)
			return err
		}
	case reflect.Float32, reflect.Float64:
		return func(r R, v reflect.Value) error {
			f, err := r.readFloat(t.Bits(), t)
			v.SetFloat(f)
			return err
		}
	case reflect.String:
		return func(r R, v reflect.Value) error {
			s, err := r.readString()
			v.SetString(s)
			return err
		}
	case reflect.Pointer:
		return d.pointerDecoder(t)
	case reflect.Slice:
		return d.sliceDecoder(t)
	case reflect.Array:
		return d.arrayDecoder(t)
	case reflect.Map:
		return d.mapDecoder(t)
	case reflect.Struct:
		return d.structDecoder(t)
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return decodeAny[R]
		}
	}
	return func(r R, _ reflect.Value) error { return r.unexpected(t) }
}

func (d *decoderTable[R]) pointerDecoder(t reflect.Type) decodeFunc[R] {
	element := d.later(t.Elem())
	return func(r R, v reflect.Value) error {
		if isNull, err := r.readNull(); isNull || err != nil {
			v.SetZero()
			return err
		}
		v.Set(reflect.New(t.Elem()))
		return element()(r, v.Elem())
	}
}

func (d *decoderTable[R]) sliceDecoder(t reflect.Type) decodeFunc[R] {
	if t.Elem().Kind() == reflect.Uint8 {
		return d.bytes
	}
	element := d.later(t.Elem())
	return func(r R, v reflect.Value) error {
		if isNull, err := r.readNull(); isNull || err != nil {
			v.SetZero()
			return err
		}
		n, err := r.readArray(t)
		if err != nil {
			return err
		}
		// The peer can announce any length, so the first allocation is bounded.
		v.Set(reflect.MakeSlice(t, 0, min(n, 64)))
		for i := 0; ; i++ {
			if more, err := r.next(i, n); err != nil || !more {
				return err
			}
			if err := element()(r, extend(v)); err != nil {
				return err
			}
		}
	}
}

// arrayDecoder requires exactly as many elements as the array has.
func (d *decoderTable[R]) arrayDecoder(t reflect.Type) decodeFunc[R] {
	element := d.later(t.Elem())
	return func(r R, v reflect.Value) error {
		n, err := r.readArray(t)
		for i := 0; err == nil; i++ {
			var more bool
			more, err = r.next(i, n)
			switch {
			case err != nil:
			case more != (i < t.Len()):
				err = r.unfit(t)
			case !more:
				return nil
			default:
				err = element()(r, v.Index(i))
			}
		}
		return err
	}
}

func (d *decoderTable[R]) mapDecoder(t reflect.Type) decodeFunc[R] {
	key, element := d.key(t.Key()), d.later(t.Elem())
	return func(r R, v reflect.Value) error {
		if isNull, err := r.readNull(); isNull || err != nil {
			v.SetZero()
			return err
		}
		n, err := r.readMap(t)
		if err != nil {
			return err
		}
		v.Set(reflect.MakeMap(t))
		for i := 0; ; i++ {
			k, more, err := key(r, i, n)
			if err != nil || !more {
				return err
			}
			e := reflect.New(t.Elem()).Elem()
			if err := element()(r, e); err != nil {
				return err
			}
			v.SetMapIndex(k, e)
		}
	}
}

// member is a field of a struct, for decoding.
type member[R any] struct {
	field
	decode func() decodeFunc[R]
}

func (d *decoderTable[R]) structDecoder(t reflect.Type) decodeFunc[R] {
	var members []*member[R]
	byName := make(map[string]*member[R])
	for _, f := range d.fields(t) {
		m := &member[R]{f, d.member(f)}
		if m.decode == nil {
			m.decode = d.later(f.typ)
		}
		members, byName[f.name] = append(members, m), m
	}
	find := func(name []byte) *member[R] {
		m := byName[string(name)]
		for i := 0; m == nil && d.foldCase && i < len(members); i++ {
			if fold.Equal(members[i].name, string(name)) {
				m = members[i]
			}
		}
		return m
	}
	return func(r R, v reflect.Value) error {
		n, err := r.readMap(t)
		for i := 0; err == nil; i++ {
			name, more, failed := r.name(i, n)
			if failed != nil || !more {
				return failed
			}
			if i < len(members) && members[i].name == string(name) { // most peers keep the order
				err = members[i].decode()(r, members[i].of(v))
			} else if m := find(name); m != nil {
				err = m.decode()(r, m.of(v))
			} else {
				err = r.skip()
			}
		}
		return err
	}
}

// decodeAny decodes into an empty interface.
func decodeAny[R valueReader](r R, v reflect.Value) error {
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

func readAnyList[R valueReader](r R) (any, error) {
	n, err := r.readArray(nil)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for {
		if more, err := r.next(len(list), n); err != nil || !more {
			return list, err
		}
		x, err := r.readAny()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
}

func readAnyMap[R valueReader](r R) (any, error) {
	n, err := r.readMap(nil)
	if err != nil {
		return nil, err
	}
	m := map[string]any{}
	for i := 0; ; i++ {
		key, more, err := r.anyKey(i, n)
		if err != nil || !more {
			return m, err
		}
		if m[key], err = r.readAny(); err != nil {
			return nil, err
		}
	}
}
