package protocol

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// append appends any value. Common types need neither reflection nor a look-up.
func (p *JSON) append(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return appendJSONString(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return appendJSONFloat(dst, v, 64)
	case []byte:
		return appendJSONBytes(dst, v), nil
	case time.Time:
		return appendJSONTime(dst, v)
	}
	r := reflect.ValueOf(v)
	return p.encoders.of(r.Type())(dst, r, 0)
}

// encoderTable returns the parts of the encoding.
func (p *JSON) encoderTable() encoderTable {
	return encoderTable{
		depth: int(p.depth), tooDeep: errTooDeep(p.depth),
		boolean: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return strconv.AppendBool(dst, v.Bool()), nil
		},
		integer: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return strconv.AppendInt(dst, v.Int(), 10), nil
		},
		unsigned: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return strconv.AppendUint(dst, v.Uint(), 10), nil
		},
		single: func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return appendJSONFloat(dst, v.Float(), 32) },
		double: func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return appendJSONFloat(dst, v.Float(), 64) },
		text: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return appendJSONString(dst, v.String()), nil
		},
		guid: typed(func(dst []byte, id Guid) ([]byte, error) {
			dst, _ = id.AppendText(append(dst, '"'))
			return append(dst, '"'), nil
		}),
		time:   typed(appendJSONTime),
		offset: typed(appendJSONOffset),
		duration: func(dst []byte, v reflect.Value, _ int) ([]byte, error) {
			return append(appendTimeSpan(append(dst, '"'), time.Duration(v.Int())), '"'), nil
		},
		number:    func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return appendJSONNumber(dst, v.String()) },
		marshaler: jsonMarshalerType, marshal: p.marshalJSON, marshalText: marshalJSONText,
		bytes:   func(dst []byte, v reflect.Value, _ int) ([]byte, error) { return appendJSONBytes(dst, v.Bytes()), nil },
		dynamic: p.appendDynamic,
		null:    "null", isText: true,
		key: func(reflect.Type) func([]byte, mapKey, int) ([]byte, error) {
			return func(dst []byte, k mapKey, _ int) ([]byte, error) {
				return append(appendJSONString(dst, k.text), ':'), nil
			}
		},
		fields: p.fieldsOf,
		head:   func(name string) []byte { return append(appendJSONString([]byte{','}, name), ':') },
		member: func(f field) func() encodeFunc {
			if !f.quoted || !p.isQuotable(f.typ) {
				return nil
			}
			return func() encodeFunc { return quotedEncoder(p.encoders.of(f.typ)) }
		},
	}
}

func (p *JSON) marshalJSON(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	text, err := v.Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		return dst, cannotWrite(err)
	}
	r := jsonReader{data: text, depth: int32(depth), outer: int32(depth), most: p.depth}
	out, err := r.respell(dst)
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return dst, cannotWrite(err)
	}
	return out, nil
}

func marshalJSONText(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return dst, cannotWrite(err)
	}
	return appendJSONString(dst, text), nil
}

// respell appends the value at the reader's position without spaces and with our escapes.
func (r *jsonReader) respell(dst []byte) ([]byte, error) {
	c := r.peek()
	start := r.pos
	switch c {
	case '"':
		inside, _, err := r.text()
		if err != nil {
			return dst, err
		}
		return respellText(dst, inside)
	case '[', '{':
		return r.respellMembers(dst, c)
	}
	_, err := r.token()
	return append(dst, r.data[start:r.pos]...), err
}

// respellMembers appends the array or object that begins with the bracket.
func (r *jsonReader) respellMembers(dst []byte, bracket byte) ([]byte, error) {
	if err := r.enter(); err != nil {
		return dst, err
	}
	dst = append(dst, bracket)
	for first := true; ; first = false {
		name, more, err := r.member(bracket, first)
		if err != nil {
			return dst, err
		}
		if !more {
			return append(dst, bracket+2), nil // one code is between '[' and ']', and between '{' and '}'
		}
		if !first {
			dst = append(dst, ',')
		}
		if bracket == '{' {
			if dst, err = respellText(dst, name); err != nil {
				return dst, err
			}
			dst = append(dst, ':')
		}
		if dst, err = r.respell(dst); err != nil {
			return dst, err
		}
	}
}

func respellText(dst, inside []byte) ([]byte, error) {
	text, err := unescape(inside)
	if err != nil {
		return dst, err
	}
	return appendJSONString(dst, text), nil
}

func (p *JSON) appendDynamic(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.IsNil() {
		return append(dst, "null"...), nil
	}
	v = v.Elem()
	return p.encoders.of(v.Type())(dst, v, depth)
}

// errTooDeep returns System.Text.Json's fault for a cycle, and for nesting that it takes
// for one.
func errTooDeep(depth int32) *Fault {
	const text = "A possible object cycle was detected. This can either be due to a cycle or if the object depth is larger than the maximum allowed depth of %d. Consider using ReferenceHandler.Preserve on JsonSerializerOptions to support cycles."
	return &Fault{Exception: "JsonException", Message: fmt.Sprintf(text, depth)}
}

func (p *JSON) fieldsOf(t reflect.Type) []field {
	if p.asDeclared {
		return fieldsOf(t, "json", func(name string) string { return name })
	}
	return fieldsOf(t, "json", camelCase)
}

var errNotFinite = &Fault{Exception: "ArgumentException", Message: ".NET number values such as positive and negative infinity cannot be written as valid JSON. To make it work when using 'JsonSerializer', consider specifying 'JsonNumberHandling.AllowNamedFloatingPointLiterals' (see https://learn.microsoft.com/dotnet/api/system.text.json.serialization.jsonnumberhandling)."}

// appendJSONFloat writes the shortest digits that give the same number, as .NET does. It
// uses an exponent if the number has more than 17 digits (9 for a float32) before the
// point, or is less than 0.0001.
func appendJSONFloat(dst []byte, f float64, bits int) ([]byte, error) {
	abs := math.Abs(f)
	most := 1e17
	if bits == 32 {
		most = 1e9
	}
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return dst, errNotFinite
	case abs >= most || abs < 1e-4 && abs != 0:
		return strconv.AppendFloat(dst, f, 'E', -1, bits), nil
	}
	return strconv.AppendFloat(dst, f, 'f', -1, bits), nil
}

// appendJSONNumber writes a number that is stored as text. Empty text is 0, as in
// encoding/json.
func appendJSONNumber(dst []byte, text string) ([]byte, error) {
	if text == "" {
		return append(dst, '0'), nil
	}
	r := jsonReader{data: []byte(text)}
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		return dst, cannotWrite(r.failAt("is no number."))
	}
	number, err := r.number()
	if err != nil || r.pos < len(r.data) {
		return dst, cannotWrite(errors.Join(err, errors.New("protocol: the text is not a number")))
	}
	return append(dst, number...), nil
}

func appendJSONBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

func appendJSONTime(dst []byte, t time.Time) ([]byte, error) {
	if !isDateTime(t) {
		return dst, errDateTime
	}
	dst = append(dst, '"')
	dst = appendDateTime(dst, t)
	return append(dst, '"'), nil
}
