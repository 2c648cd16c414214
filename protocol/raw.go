package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// Raw is a value that is encoded already, in one protocol. As an argument, an item, a result
// or a part of one it is written as it is in its own protocol, and transcoded into others:
//
//   - numbers of JSON that are integers become integers of MessagePack, others become floats.
//     A number that is too large for a float becomes a string, as a decimal does
//   - bytes become base64, timestamps DateTime, and keys of maps become strings
//   - an object's properties are sorted by their names
//
// As a target of decoding it takes a copy of the bytes as they are.
type Raw struct {
	Protocol string // of Data: "json" or "messagepack"
	Data     []byte // one value without its framing; empty: null
}

var rawType = reflect.TypeFor[Raw]()

// The names of the protocols.
const (
	jsonName = "json"
	packName = "messagepack"
)

// appendRaw appends a [Raw]. It returns a [*Fault] if the data is not one value.
func (e *encoderTable) appendRaw(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	raw, _ := reflect.TypeAssert[Raw](v)
	if len(raw.Data) == 0 {
		return append(dst, e.null...), nil
	}
	if raw.Protocol == packName && !e.isText || raw.Protocol == jsonName && e.isText {
		if err := raw.check(int32(depth), int32(e.depth)); err != nil { //nolint:gosec // at most maxDepthOption
			return dst, cannotWrite(err)
		}
		return append(dst, raw.Data...), nil
	}
	x, err := raw.decode()
	switch {
	case err != nil:
		return dst, cannotWrite(err)
	case x == nil:
		return append(dst, e.null...), nil
	}
	return e.of(reflect.TypeOf(x))(dst, reflect.ValueOf(x), depth)
}

var errRawText = errors.New("protocol: the JSON is not valid UTF-8")

// check returns an error if the data is not one value within depth levels of most.
func (raw Raw) check(depth, most int32) error {
	if raw.Protocol == packName {
		r := packReader{data: raw.Data, depth: depth, strict: true}
		return errors.Join(r.skip(), r.end())
	}
	r := jsonReader{data: raw.Data, depth: depth, outer: depth, most: most}
	if err := r.skip(); err != nil {
		return err
	}
	if !utf8.Valid(raw.Data) {
		return errRawText
	}
	return r.end()
}

// decode returns the value as an empty interface of its protocol would, except that floats
// that are integers are an int64.
func (raw Raw) decode() (x any, err error) {
	switch raw.Protocol {
	case jsonName:
		r := jsonDecoder{jsonReader{data: raw.Data, most: maxPackDepth}}
		if x, err = r.readAny(); err == nil {
			err = r.end()
		}
	case packName:
		r := packReader{data: raw.Data, strict: true}
		if x, err = r.readAny(); err == nil {
			err = r.end()
		}
	default:
		return nil, errors.New("protocol: a raw value has the unknown protocol " + strconv.Quote(raw.Protocol))
	}
	return narrowed(x), err
}

var errRawRest = errors.New("protocol: data follows the value")

// end returns an error if data remains.
func (r *packReader) end() error {
	if len(r.data) > 0 {
		return errRawRest
	}
	return nil
}

// narrowed replaces the floating-point numbers in a decoded value that are integers: JSON has
// one kind of numbers, but in MessagePack a receiver may want an integer. It replaces numbers
// that only a decimal keeps by floats, because a receiver of MessagePack would get a string.
func narrowed(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= 1<<53 {
			return int64(v)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return f
		}
	case []any:
		for i := range v {
			v[i] = narrowed(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = narrowed(v[key])
		}
	}
	return v
}

func decodeJSONRaw(r *jsonDecoder, v reflect.Value) error {
	data, err := r.value()
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(Raw{jsonName, bytes.Clone(data)}))
	return checkText(data)
}

func decodePackRawValue(r *packReader, v reflect.Value) error {
	whole := packReader{data: r.data, depth: r.depth, strict: true}
	data, err := whole.value()
	if err != nil {
		return err
	}
	r.data = whole.data
	v.Set(reflect.ValueOf(Raw{packName, bytes.Clone(data)}))
	return nil
}
