package protocol

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// Bind decodes the raw arguments into targets. It checks their number before their types.
func (p *MessagePack) Bind(arguments []byte, targets ...any) error {
	r := packReader{data: arguments}
	n, err := r.arrayHeader()
	switch {
	case err != nil:
		return &BindError{Err: err, message: readingLength("array", "arguments").Message}
	case n != len(targets):
		return &CountError{Got: n, Want: len(targets)}
	}
	for i, target := range targets {
		if err := p.decode(&r, target); err != nil {
			return &BindError{Err: err, Argument: i + 1}
		}
	}
	return nil
}

// Decode decodes one raw value.
func (p *MessagePack) Decode(raw []byte, target any) error {
	r := packReader{data: raw}
	err := p.decode(&r, target)
	if err == nil {
		return nil
	}
	name := typeName(reflect.TypeOf(target).Elem())
	return &DecodeError{
		TypeName:  name,
		Err:       err,
		exception: exceptionInvalidData,
		message: func(what string) string {
			return fmt.Sprintf("Deserializing object of the `%s` type for '%s' failed.", name, what)
		},
	}
}

// packDecodeFunc reads the value at the reader's position into a value of its type.
type packDecodeFunc func(r *packReader, v reflect.Value) error

// decode reads the next value into a pointer. Common types need no look-up, and the
// reader stays on the stack.
func (p *MessagePack) decode(r *packReader, target any) (err error) {
	switch t := target.(type) {
	case *string:
		*t, err = r.readString()
	case *int:
		var n int64
		n, err = r.readInt(strconv.IntSize)
		*t = int(n)
	case *int32:
		var n int64
		n, err = r.readInt(32)
		*t = int32(n)
	case *int64:
		*t, err = r.int()
	case *float64:
		*t, err = r.float()
	case *bool:
		*t, err = r.bool()
	case *time.Time:
		*t, err = r.readTime()
	default:
		*r, err = p.decodeOther(*r, target)
	}
	return err
}

// decodeOther gets a reader of its own, which escapes to the heap.
func (p *MessagePack) decodeOther(r packReader, target any) (packReader, error) {
	v := reflect.ValueOf(target).Elem()
	err := p.decoders.of(v.Type())(&r, v)
	return r, err
}

func (r *packReader) readString() (string, error) {
	text, _, err := r.text()
	if err != nil {
		return "", err
	}
	return validText(text), nil
}

var errOutOfRange = errors.New("protocol: the number does not fit")

func (r *packReader) readInt(bits int) (int64, error) {
	n, err := r.int()
	if err == nil && n<<(64-bits)>>(64-bits) != n {
		err = errOutOfRange
	}
	return n, err
}

func (r *packReader) readUint(bits int) (uint64, error) {
	n, err := r.uint()
	if err == nil && n<<(64-bits)>>(64-bits) != n {
		err = errOutOfRange
	}
	return n, err
}

// readTime reads a timestamp, in UTC, or a DateTimeOffset.
func (r *packReader) readTime() (time.Time, error) {
	if msgp.NextType(r.data) == msgp.ArrayType {
		return r.readOffsetTime()
	}
	return r.readTimestamp()
}

func (r *packReader) readTimestamp() (time.Time, error) {
	body, err := r.timestamp()
	if err != nil {
		return time.Time{}, err
	}
	var seconds, nanos int64
	switch len(body) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(body))
	case 8:
		n := binary.BigEndian.Uint64(body)
		seconds, nanos = int64(n&(1<<34-1)), int64(n>>34)
	default:
		nanos = int64(binary.BigEndian.Uint32(body))
		seconds = int64(binary.BigEndian.Uint64(body[4:]))
	}
	if seconds < minSecond || seconds > maxSecond {
		return time.Time{}, errOutOfRange
	}
	t := time.Unix(seconds, nanos).UTC()
	if !isDateTime(t) {
		return time.Time{}, errOutOfRange
	}
	return t, nil
}

// timestamp reads the extension and returns its four, eight or twelve bytes.
func (r *packReader) timestamp() ([]byte, error) {
	start := *r
	raw, err := r.value()
	if err != nil {
		return nil, err
	}
	head := 0
	switch raw[0] {
	case 0xd6, 0xd7:
		head = 2
	case 0xc7:
		head = 3
	case 0xc8:
		head = 4
	case 0xc9:
		head = 6
	}
	if head == 0 || raw[head-1] != timestampType || len(raw)-head != 4 && len(raw)-head != 8 && len(raw)-head != 12 {
		*r = start
		return nil, r.unexpected()
	}
	return raw[head:], nil
}

// decoder returns the function that decodes values of a type.
func (p *MessagePack) decoder(t reflect.Type) packDecodeFunc {
	if f := knownPackDecoder(t); f != nil {
		return f
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(r *packReader, v reflect.Value) error {
			b, err := r.bool()
			v.SetBool(b)
			return err
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(r *packReader, v reflect.Value) error {
			n, err := r.readInt(t.Bits())
			v.SetInt(n)
			return err
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(r *packReader, v reflect.Value) error {
			n, err := r.readUint(t.Bits())
			v.SetUint(n)
			return err
		}
	case reflect.Float32, reflect.Float64:
		return func(r *packReader, v reflect.Value) error {
			f, err := r.float()
			v.SetFloat(f)
			return err
		}
	case reflect.String:
		return func(r *packReader, v reflect.Value) error {
			s, err := r.readString()
			v.SetString(s)
			return err
		}
	case reflect.Pointer:
		return p.pointerDecoder(t)
	case reflect.Slice:
		return p.sliceDecoder(t)
	case reflect.Array:
		return p.arrayDecoder(t)
	case reflect.Map:
		return p.mapDecoder(t)
	case reflect.Struct:
		return p.structDecoder(t)
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return decodePackAny
		}
	}
	return func(r *packReader, _ reflect.Value) error { return r.unexpected() }
}

// knownPackDecoder returns the decoder of types that are not decoded by their kind.
func knownPackDecoder(t reflect.Type) packDecodeFunc {
	switch t {
	case timeType:
		return func(r *packReader, v reflect.Value) (err error) {
			*(v.Addr().Interface().(*time.Time)), err = r.readTime()
			return err
		}
	case dateTimeOffsetType:
		return func(r *packReader, v reflect.Value) (err error) {
			v.Addr().Interface().(*DateTimeOffset).Time, err = r.readOffsetTime()
			return err
		}
	case durationType:
		return decodePackDuration
	case numberType:
		return decodePackNumber
	}
	switch pointer := reflect.PointerTo(t); {
	case t.Kind() == reflect.Pointer:
		return nil
	case pointer.Implements(packUnmarshalerType):
		return unmarshalPack
	case pointer.Implements(textUnmarshalerType):
		return unmarshalPackText
	}
	return nil
}

func decodePackDuration(r *packReader, v reflect.Value) error {
	n, err := r.int()
	if err == nil && (n > math.MaxInt64/int64(tick) || n < math.MinInt64/int64(tick)) {
		err = errOutOfRange
	}
	v.SetInt(n * int64(tick))
	return err
}

// decodePackNumber reads a decimal, which is a string.
func decodePackNumber(r *packReader, v reflect.Value) error {
	text, isNil, err := r.text()
	if err != nil {
		return err
	}
	number, err := appendJSONNumber(nil, string(text))
	if err != nil || isNil {
		return errors.Join(err, errOutOfRange)
	}
	v.SetString(string(json.Number(number)))
	return nil
}

// unmarshalPack calls a generated method only when the whole value is there, because the
// method allocates as many elements as the value announces.
func unmarshalPack(r *packReader, v reflect.Value) error {
	whole := packReader{data: r.data, depth: r.depth, strict: true}
	raw, err := whole.value()
	if err != nil {
		return err
	}
	_, err = v.Addr().Interface().(msgp.Unmarshaler).UnmarshalMsg(raw)
	r.data = whole.data
	return err
}

func unmarshalPackText(r *packReader, v reflect.Value) error {
	text, isNil, err := r.text()
	if err != nil {
		return err
	}
	if isNil {
		return errors.New("protocol: nil instead of a text")
	}
	return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(text)
}

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
