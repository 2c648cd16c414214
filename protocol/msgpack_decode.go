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

// decode reads the next value into a pointer. Common types need no look-up, and the
// reader stays on the stack.
func (p *MessagePack) decode(r *packReader, target any) (err error) {
	switch t := target.(type) {
	case *string:
		*t, err = r.readString()
	case *int:
		var n int64
		n, err = r.readInt(strconv.IntSize, nil)
		*t = int(n)
	case *int32:
		var n int64
		n, err = r.readInt(32, nil)
		*t = int32(n)
	case *int64:
		*t, err = r.int()
	case *float64:
		*t, err = r.float()
	case *bool:
		*t, err = r.readBool()
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

func (r *packReader) readInt(bits int, _ reflect.Type) (int64, error) {
	n, err := r.int()
	if err == nil && n<<(64-bits)>>(64-bits) != n {
		err = errOutOfRange
	}
	return n, err
}

func (r *packReader) readUint(bits int, _ reflect.Type) (uint64, error) {
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
		return nil, r.unexpected(nil)
	}
	return raw[head:], nil
}

// decoderTable returns the parts of the decoding.
func (p *MessagePack) decoderTable() decoderTable[*packReader] {
	return decoderTable[*packReader]{
		known: knownPackDecoder, bytes: decodePackBytes, fields: packFields, key: p.keyReader,
		member: func(f field) func() decodeFunc[*packReader] {
			if f.typ.Kind() != reflect.Slice || f.typ.Elem().Kind() != reflect.Uint8 {
				return nil
			}
			return func() decodeFunc[*packReader] { return decodePackRaw }
		},
	}
}

// knownPackDecoder returns the decoder of types that are not decoded by their kind.
func knownPackDecoder(t reflect.Type) decodeFunc[*packReader] {
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
	case rawType:
		return decodePackRawValue
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
		b, err := r.readUint(8, nil)
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

func (r *packReader) readNull() (bool, error) { return r.null(), nil } //nolint:unparam // the error is that of valueReader

func (r *packReader) readFloat(int, reflect.Type) (float64, error) { return r.float() }

func (r *packReader) readArray(reflect.Type) (int, error) { return r.enterIf(r.arrayHeader()) }
func (r *packReader) readMap(reflect.Type) (int, error)   { return r.enterIf(r.mapHeader()) }

// enterIf enters an array or a map if its header was read without an error.
func (r *packReader) enterIf(n int, err error) (int, error) {
	if err == nil {
		err = r.enter()
	}
	return n, err
}

func (r *packReader) next(i, n int) (bool, error) { //nolint:unparam // the error is that of valueReader
	if i == n {
		r.depth--
	}
	return i < n, nil
}

func (r *packReader) name(i, n int) (name []byte, more bool, err error) {
	if more, _ = r.next(i, n); !more {
		return nil, false, nil
	}
	name, isNil, err := r.text()
	if isNil {
		err = errNoKey
	}
	return name, true, err
}

// anyKey accepts strings, numbers and other scalars.
func (r *packReader) anyKey(i, n int) (key string, more bool, err error) {
	if more, _ = r.next(i, n); !more {
		return "", false, nil
	}
	k, err := r.readAny()
	if err != nil {
		return "", true, err
	}
	switch k := k.(type) {
	case string:
		return k, true, nil
	case nil, []any, []byte, map[string]any:
		return "", true, errNoKey
	}
	return fmt.Sprint(k), true, nil
}

func (r *packReader) unfit(reflect.Type) error { return errOutOfRange }

var errNoKey = errors.New("protocol: the value cannot be the key of a map")

func (p *MessagePack) keyReader(t reflect.Type) func(*packReader, int, int) (reflect.Value, bool, error) {
	decode := p.decoders.later(t)
	return func(r *packReader, i, n int) (key reflect.Value, more bool, err error) {
		if more, _ = r.next(i, n); !more {
			return key, false, nil
		}
		key = reflect.New(t).Elem()
		err = decode()(r, key)
		if err == nil && !key.Comparable() {
			err = errNoKey
		}
		return key, true, err
	}
}

func (r *packReader) readAny() (any, error) {
	switch msgp.NextType(r.data) {
	case msgp.NilType:
		r.null()
		return nil, nil
	case msgp.BoolType:
		return r.readBool()
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
		return readAnyList(r)
	case msgp.MapType:
		return readAnyMap(r)
	}
	return r.readTimestamp()
}
