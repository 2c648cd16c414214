package protocol

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// encodeFunc appends a value of one type. depth is the number of surrounding arrays and
// objects.
type encodeFunc func(dst []byte, v reflect.Value, depth int) ([]byte, error)

// encoderTable makes the encoders of one encoding.
type encoderTable struct {
	typeCache[encodeFunc]
	depth   int // the limit for nesting
	tooDeep *Fault

	boolean, integer, unsigned, single, double, text, guid, time, offset, duration, number encodeFunc

	bytes   encodeFunc // of slices of bytes
	dynamic encodeFunc // of interfaces

	marshaler            reflect.Type // the interface of types that encode themselves by marshal
	marshal, marshalText encodeFunc

	null   string
	isText bool // JSON's brackets and commas, not MessagePack's headers

	// key returns the function that appends the key of a pair.
	key    func(reflect.Type) func(dst []byte, k mapKey, depth int) ([]byte, error)
	fields func(reflect.Type) []field
	head   func(name string) []byte // appends the name of a field, after a comma if there are commas
	// member returns the encoder of a field if it differs from that of the field's type.
	member func(field) func() encodeFunc
}

// encoder returns the function that encodes values of a type.
func (e *encoderTable) encoder(t reflect.Type) encodeFunc {
	if f := e.known(t); f != nil {
		return f
	}
	switch t.Kind() {
	case reflect.Bool:
		return e.boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return e.integer
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return e.unsigned
	case reflect.Float32:
		return e.single
	case reflect.Float64:
		return e.double
	case reflect.String:
		return e.text
	case reflect.Interface:
		return e.dynamic
	case reflect.Pointer:
		return e.pointerEncoder(t)
	case reflect.Slice, reflect.Array:
		return e.listEncoder(t)
	case reflect.Map:
		return e.mapEncoder(t)
	case reflect.Struct:
		return e.structEncoder(t)
	}
	return unsupported(t)
}

// known returns the encoder of types that are not encoded by their kind. A value behind a
// pointer or an interface has an encoder of its own.
func (e *encoderTable) known(t reflect.Type) encodeFunc {
	switch t {
	case guidType:
		return e.guid
	case timeType:
		return e.time
	case dateTimeOffsetType:
		return e.offset
	case durationType:
		return e.duration
	case numberType:
		return e.number
	case rawType:
		return e.appendRaw
	}
	switch pointer := reflect.PointerTo(t); {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface:
		return nil
	case t.Implements(e.marshaler):
		return e.marshal
	case t.Implements(textMarshalerType):
		return e.marshalText
	case pointer.Implements(e.marshaler):
		return addressed(e.marshal)
	case pointer.Implements(textMarshalerType):
		return addressed(e.marshalText)
	}
	return nil
}

// typed makes an encodeFunc of a function for values of T.
func typed[T any](f func(dst []byte, x T) ([]byte, error)) encodeFunc {
	return func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
		x, _ := reflect.TypeAssert[T](v)
		return f(dst, x)
	}
}

// addressed calls f with a pointer to the value, or to a copy of it.
func addressed(f encodeFunc) encodeFunc {
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if !v.CanAddr() {
			c := reflect.New(v.Type()).Elem()
			c.Set(v)
			v = c
		}
		return f(dst, v.Addr(), depth)
	}
}

// cannotWrite returns the fault of a value with a method that failed.
func cannotWrite(err error) error {
	if fault := asFault(err); fault != nil {
		return fault
	}
	return &Fault{Exception: "JsonException", Message: err.Error()}
}

func unsupported(t reflect.Type) encodeFunc {
	return func(dst []byte, _ reflect.Value, _ int) ([]byte, error) {
		return dst, &Fault{Exception: "NotSupportedException", Message: "Serialization and deserialization of '" + t.String() + "' instances is not supported."}
	}
}

func (e *encoderTable) pointerEncoder(t reflect.Type) encodeFunc {
	element := e.later(t.Elem())
	deeper := 0
	if k := t.Elem().Kind(); k == reflect.Pointer || k == reflect.Interface { // only these can form a cycle, too
		deeper = 1
	}
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		switch {
		case v.IsNil():
			return append(dst, e.null...), nil
		case depth > e.depth:
			return dst, e.tooDeep
		}
		return element()(dst, v.Elem(), depth+deeper)
	}
}

// begin appends the beginning of an array of n elements, or of a map of n pairs.
func (e *encoderTable) begin(dst []byte, bracket byte, n int) []byte {
	switch {
	case e.isText:
		return append(dst, bracket)
	case bracket == '[':
		return msgp.AppendArrayHeader(dst, uint32(n))
	}
	return msgp.AppendMapHeader(dst, uint32(n))
}

func (e *encoderTable) end(dst []byte, bracket byte) []byte {
	if e.isText {
		dst = append(dst, bracket)
	}
	return dst
}

func (e *encoderTable) listEncoder(t reflect.Type) encodeFunc {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return e.bytes
	}
	element := e.later(t.Elem())
	return func(dst []byte, v reflect.Value, depth int) (_ []byte, err error) {
		switch {
		case t.Kind() == reflect.Slice && v.IsNil():
			return append(dst, e.null...), nil
		case depth >= e.depth:
			return dst, e.tooDeep
		}
		n := v.Len()
		dst = e.begin(dst, '[', n)
		f := element()
		for i := range n {
			if i > 0 && e.isText {
				dst = append(dst, ',')
			}
			if dst, err = f(dst, v.Index(i), depth+1); err != nil {
				return dst, err
			}
		}
		return e.end(dst, ']'), nil
	}
}

func (e *encoderTable) mapEncoder(t reflect.Type) encodeFunc {
	key, element := e.key(t.Key()), e.later(t.Elem())
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		switch {
		case v.IsNil():
			return append(dst, e.null...), nil
		case depth >= e.depth:
			return dst, e.tooDeep
		}
		keys, err := sortedKeys(v)
		if err != nil {
			return dst, err
		}
		dst = e.begin(dst, '{', len(keys))
		for i, k := range keys {
			if i > 0 && e.isText {
				dst = append(dst, ',')
			}
			if dst, err = key(dst, k, depth+1); err != nil {
				return dst, err
			}
			if dst, err = element()(dst, v.MapIndex(k.key), depth+1); err != nil {
				return dst, err
			}
		}
		return e.end(dst, '}'), nil
	}
}

type mapKey struct {
	text string
	key  reflect.Value
}

// sortedKeys sorts the entries of a map, because Go's order is random.
func sortedKeys(v reflect.Value) ([]mapKey, error) {
	keys := make([]mapKey, 0, v.Len())
	for _, k := range v.MapKeys() {
		text, err := keyText(k)
		if err != nil {
			return nil, err
		}
		keys = append(keys, mapKey{text, k})
	}
	slices.SortFunc(keys, func(a, b mapKey) int { return strings.Compare(a.text, b.text) })
	return keys, nil
}

func keyText(k reflect.Value) (string, error) {
	if m, ok := k.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return "", cannotWrite(err)
		}
		return string(text), nil
	}
	switch {
	case k.Kind() == reflect.String:
		return k.String(), nil
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10), nil
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	_, err := unsupported(k.Type())(nil, k, 0)
	return "", err
}

// fieldEncoder encodes a field of a struct.
type fieldEncoder struct {
	field
	head   []byte
	encode func() encodeFunc
}

// fieldEncoders returns the encoders of a struct's fields, and whether some fields may be left out.
func (e *encoderTable) fieldEncoders(t reflect.Type) (members []fieldEncoder, optional bool) {
	for _, f := range e.fields(t) {
		m := fieldEncoder{f, e.head(f.name), e.member(f)}
		if m.encode == nil {
			m.encode = e.later(f.typ)
		}
		members = append(members, m)
		optional = optional || f.omitEmpty || f.omitZero || len(f.index) > 1
	}
	return members, optional
}

func (e *encoderTable) structEncoder(t reflect.Type) encodeFunc {
	members, optional := e.fieldEncoders(t)
	return func(dst []byte, v reflect.Value, depth int) (_ []byte, err error) {
		if depth >= e.depth {
			return dst, e.tooDeep
		}
		n := len(members)
		for i := 0; i < len(members) && optional && !e.isText; i++ {
			if _, ok := members[i].in(v); !ok {
				n--
			}
		}
		dst = e.begin(dst, '{', n)
		start := len(dst)
		for i := range members {
			m := &members[i]
			f, ok := m.in(v)
			if !ok {
				continue
			}
			head := m.head
			if len(dst) == start && e.isText {
				head = head[1:]
			}
			if dst, err = m.encode()(append(dst, head...), f, depth+1); err != nil {
				return dst, err
			}
		}
		return e.end(dst, '}'), nil
	}
}
