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
