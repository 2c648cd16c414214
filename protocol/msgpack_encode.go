package protocol

import (
	"cmp"
	"encoding"
	"encoding/binary"
	"math"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// append appends any value. Common types need neither reflection nor a look-up.
func (p *MessagePack) append(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(dst), nil
	case string:
		return appendPackString(dst, v), nil
	case bool:
		return msgp.AppendBool(dst, v), nil
	case int:
		return appendPackInt(dst, int64(v)), nil
	case int32:
		return appendPackInt(dst, int64(v)), nil
	case int64:
		return appendPackInt(dst, v), nil
	case float64:
		return appendPackFloat(dst, v), nil
	case []byte:
		return appendPackBytes(dst, v), nil
	case time.Time:
		return appendTimestamp(dst, v)
	}
	r := reflect.ValueOf(v)
	return p.encoders.of(r.Type())(dst, r, 0)
}

// appendPackInt writes the shortest form, an unsigned one if n is not negative.
func appendPackInt(dst []byte, n int64) []byte {
	if n >= 0 {
		return msgp.AppendUint64(dst, uint64(n))
	}
	return msgp.AppendInt64(dst, n)
}

// appendPackFloat writes .NET's NaN for every NaN.
func appendPackFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) {
		f = math.Float64frombits(0xfff8 << 48)
	}
	return msgp.AppendFloat64(dst, f)
}

// appendPackString replaces invalid UTF-8 with U+FFFD, because .NET's strings cannot hold
// it.
func appendPackString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	return msgp.AppendString(dst, s)
}

func appendPackBytes(dst, b []byte) []byte {
	if b == nil {
		return msgp.AppendNil(dst)
	}
	return msgp.AppendBytes(dst, b)
}

// timestampType is the extension type of timestamps.
const timestampType = 0xff

// appendTimestamp writes the shortest of the three forms. .NET's clock has ticks of 100
// ns and the years 1 to 9999.
func appendTimestamp(dst []byte, t time.Time) ([]byte, error) {
	seconds := t.Unix()
	if seconds < minSecond || seconds > maxSecond {
		return dst, errDateTime
	}
	nanos := uint64(t.Nanosecond()) / uint64(tick) * uint64(tick)
	switch {
	case seconds>>34 != 0:
		dst = append(dst, 0xc7, 12, timestampType)
		dst = binary.BigEndian.AppendUint32(dst, uint32(nanos))
		return binary.BigEndian.AppendUint64(dst, uint64(seconds)), nil
	case nanos == 0 && seconds <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd6, timestampType), uint32(seconds)), nil
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd7, timestampType), nanos<<34|uint64(seconds)), nil
}

var (
	packMarshalerType   = reflect.TypeFor[msgp.Marshaler]()
	packUnmarshalerType = reflect.TypeFor[msgp.Unmarshaler]()
)

// encoderTable returns the parts of the encoding.
func (p *MessagePack) encoderTable() encoderTable {
	return encoderTable{
		depth: maxPackDepth, tooDeep: errPackDeep,
		boolean:  func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return msgp.AppendBool(dst, v.Bool()), nil },
		integer:  func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return appendPackInt(dst, v.Int()), nil },
		unsigned: func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return msgp.AppendUint64(dst, v.Uint()), nil },
		single: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return msgp.AppendFloat32(dst, float32(v.Float())), nil
		},
		double: func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return appendPackFloat(dst, v.Float()), nil },
		text: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return appendPackString(dst, v.String()), nil
		},
		guid: typed(func(dst []byte, id Guid) ([]byte, error) {
			var text [36]byte
			b, _ := id.AppendText(text[:0])
			return msgp.AppendStringFromBytes(dst, b), nil
		}),
		time:   typed(appendTimestamp),
		offset: typed(appendPackOffset),
		duration: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return appendPackInt(dst, v.Int()/int64(tick)), nil
		},
		number: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return appendPackString(dst, cmp.Or(v.String(), "0")), nil
		},
		marshaler: packMarshalerType, marshal: marshalPack, marshalText: marshalPackText,
		bytes:   func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return appendPackBytes(dst, v.Bytes()), nil },
		dynamic: p.appendDynamic,
		null:    "\xc0",
		key: func(t reflect.Type) func([]byte, mapKey, int) ([]byte, error) {
			encode := p.encoders.later(t)
			return func(dst []byte, k mapKey, depth int) ([]byte, error) { return encode()(dst, k.key, depth) }
		},
		fields: packFields,
		head:   func(name string) []byte { return msgp.AppendString(nil, name) },
		member: func(field) func() encodeFunc { return nil },
	}
}

func marshalPack(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	out, err := v.Interface().(msgp.Marshaler).MarshalMsg(dst)
	if err != nil {
		return dst, cannotWrite(err)
	}
	return out, nil
}

func marshalPackText(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return dst, cannotWrite(err)
	}
	return appendPackString(dst, string(text)), nil
}

// appendDynamic writes the value of an interface. Plain integers have the width of their
// type there, so that a reader can recognize it. An int is written as .NET's int if it
// fits.
func (p *MessagePack) appendDynamic(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.IsNil() {
		return msgp.AppendNil(dst), nil
	}
	v = v.Elem()
	switch {
	case v.Type().PkgPath() != "":
	case v.CanInt():
		return appendWideInt(dst, v.Int(), v.Kind()), nil
	case v.CanUint():
		return appendWideUint(dst, v.Uint(), v.Kind()), nil
	}
	return p.encoders.of(v.Type())(dst, v, depth)
}

func appendWideInt(dst []byte, n int64, k reflect.Kind) []byte {
	switch {
	case k == reflect.Int8:
		return append(dst, 0xd0, byte(n))
	case k == reflect.Int16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(n))
	case k == reflect.Int32, k == reflect.Int && n == int64(int32(n)):
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n))
}

func appendWideUint(dst []byte, n uint64, k reflect.Kind) []byte {
	switch {
	case k == reflect.Uint8:
		return append(dst, 0xcc, byte(n))
	case k == reflect.Uint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(n))
	case k == reflect.Uint32, k == reflect.Uint && n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), n)
}

func packFields(t reflect.Type) []field {
	return fieldsOf(t, "msgpack", func(name string) string { return name })
}
