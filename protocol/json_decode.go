package protocol

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Bind decodes the raw arguments into targets. It checks their types before their number.
// If a message has several arrays of arguments, each is decoded, and the last one counts;
// so does the last error.
func (p *JSON) Bind(arguments []byte, targets ...any) error {
	r := jsonReader{data: arguments, most: p.depth}
	var last error
	for {
		start := r.pos
		if err := p.bindArray(&r, targets); err != nil {
			last = err
			r = jsonReader{data: arguments, pos: start, most: p.depth}
			if r.skip() != nil { // nothing is read after malformed arguments
				return last
			}
		}
		if r.pos == len(arguments) || r.peek() != '[' {
			return last
		}
	}
}

func (p *JSON) bindArray(r *jsonReader, targets []any) error {
	if r.peek() != '[' {
		return brokenArguments(r.failAt("is an invalid start of a value."))
	}
	if err := r.enter(); err != nil {
		return brokenArguments(err)
	}
	n := 0
	for first := true; ; first = false {
		more, err := r.element(first)
		switch {
		case err != nil:
			return brokenArguments(err)
		case !more && n != len(targets):
			return &CountError{Got: n, Want: len(targets)}
		case !more:
			return nil
		case n < len(targets):
			if err := p.decode(r, targets[n]); err != nil {
				return &BindError{Err: err, Argument: n + 1}
			}
		default:
			if err := r.skip(); err != nil {
				return brokenArguments(err)
			}
		}
		n++
	}
}

// Decode decodes one raw value.
func (p *JSON) Decode(raw []byte, target any) error {
	r := jsonReader{data: raw, most: p.depth}
	err := p.decode(&r, target)
	if err == nil {
		err = r.end()
	}
	if err == nil {
		return nil
	}
	message := jsonMessage(&r, err, target)
	return &DecodeError{
		TypeName:  typeName(reflect.TypeOf(target).Elem()),
		Err:       err,
		exception: "JsonException",
		message:   func(string) string { return message },
	}
}

func jsonMessage(r *jsonReader, err error, target any) string {
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		return syntax.Error()
	}
	t := reflect.TypeOf(target).Elem()
	var mismatch *mismatchError
	if errors.As(err, &mismatch) && mismatch.wanted != nil {
		t = mismatch.wanted
	}
	at := syntaxError{reason: "The JSON value could not be converted to " + fullTypeName(t) + ". Path: $ |", data: r.data, pos: r.pos}
	return at.Error()
}

// mismatchError reports that a value is not of the wanted type.
type mismatchError struct {
	wanted reflect.Type
	err    error // the cause, if there is one
}

func (e *mismatchError) Error() string {
	s := "protocol: the value is no " + e.wanted.String()
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	return s
}

func (e *mismatchError) Unwrap() error { return e.err }

// jsonDecodeFunc reads the value at the reader's position into a value of its type.
type jsonDecodeFunc func(r *jsonReader, v reflect.Value) error

// decode reads the next value into a pointer. Common types need no look-up, and the
// reader stays on the stack.
func (p *JSON) decode(r *jsonReader, target any) (err error) {
	switch t := target.(type) {
	case *string:
		*t, err = r.readString()
	case *int:
		var n int64
		n, err = r.readInt(strconv.IntSize, reflect.TypeFor[int])
		*t = int(n)
	case *int32:
		var n int64
		n, err = r.readInt(32, reflect.TypeFor[int32])
		*t = int32(n)
	case *int64:
		*t, err = r.readInt(64, reflect.TypeFor[int64])
	case *float64:
		*t, err = r.readFloat(64, reflect.TypeFor[float64])
	case *bool:
		*t, err = r.readBool()
	default:
		*r, err = p.decodeOther(*r, target)
	}
	return err
}

// decodeOther gets a reader of its own, which escapes to the heap.
func (p *JSON) decodeOther(r jsonReader, target any) (jsonReader, error) {
	v := reflect.ValueOf(target).Elem()
	err := p.decoders.of(v.Type())(&r, v)
	return r, err
}

// wrong skips a value of the wrong type as far as .NET's reader has read when it fails.
func (r *jsonReader) wrong(wanted reflect.Type) error {
	kind, err := r.token()
	if err != nil {
		return err
	}
	if kind == '{' || kind == '[' {
		r.pos++
	}
	return &mismatchError{wanted: wanted}
}

func (r *jsonReader) null() (bool, error) {
	if r.peek() != 'n' {
		return false, nil
	}
	return true, r.literal("null")
}

func (r *jsonReader) readString() (string, error) {
	if isNull, err := r.null(); isNull || err != nil {
		return "", err
	}
	if r.peek() != '"' {
		return "", r.wrong(reflect.TypeFor[string]())
	}
	return r.stringValue("")
}

// readText is readString for callers that do not keep the text.
func (r *jsonReader) readText(wanted reflect.Type) ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.wrong(wanted)
	}
	inside, escaped, err := r.text()
	if err != nil {
		return nil, err
	}
	if escaped {
		return unescape(inside)
	}
	return inside, checkText(inside)
}

func (r *jsonReader) readBool() (bool, error) {
	switch r.peek() {
	case 't':
		return true, r.literal("true")
	case 'f':
		return false, r.literal("false")
	}
	return false, r.wrong(reflect.TypeFor[bool]())
}

// readNumber returns the text of the number at the reader's position.
func (r *jsonReader) readNumber(wanted func() reflect.Type) ([]byte, error) {
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		return nil, r.wrong(wanted())
	}
	return r.number()
}

// readInt reads a number in integer notation: neither 1.0 nor 1e0.
func (r *jsonReader) readInt(bits int, wanted func() reflect.Type) (int64, error) {
	text, err := r.readNumber(wanted)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, bits)
	if err != nil {
		return 0, &mismatchError{wanted: wanted()}
	}
	return n, nil
}

func (r *jsonReader) readUint(bits int, wanted func() reflect.Type) (uint64, error) {
	text, err := r.readNumber(wanted)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.Replace(string(text), "-0", "0", 1), 10, bits)
	if err != nil {
		return 0, &mismatchError{wanted: wanted()}
	}
	return n, nil
}

// readFloat reads a number. A number that is too large becomes infinite, as in .NET.
func (r *jsonReader) readFloat(bits int, wanted func() reflect.Type) (float64, error) {
	text, err := r.readNumber(wanted)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(text), bits)
	if err != nil && !math.IsInf(f, 0) {
		return 0, &mismatchError{wanted: wanted()}
	}
	return f, nil
}

// decoder returns the function that decodes values of a type.
func (p *JSON) decoder(t reflect.Type) jsonDecodeFunc {
	if f := knownJSONDecoder(t); f != nil {
		return f
	}
	wanted := func() reflect.Type { return t }
	switch t.Kind() {
	case reflect.Bool:
		return func(r *jsonReader, v reflect.Value) error {
			b, err := r.readBool()
			v.SetBool(b)
			return err
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(r *jsonReader, v reflect.Value) error {
			n, err := r.readInt(t.Bits(), wanted)
			v.SetInt(n)
			return err
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(r *jsonReader, v reflect.Value) error {
			n, err := r.readUint(t.Bits(), wanted)
			v.SetUint(n)
			return err
		}
	case reflect.Float32, reflect.Float64:
		return func(r *jsonReader, v reflect.Value) error {
			f, err := r.readFloat(t.Bits(), wanted)
			v.SetFloat(f)
			return err
		}
	case reflect.String:
		return func(r *jsonReader, v reflect.Value) error {
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
			return decodeJSONAny
		}
	}
	return func(r *jsonReader, _ reflect.Value) error { return r.wrong(t) }
}

// knownJSONDecoder returns the decoder of types that are not decoded by their kind.
func knownJSONDecoder(t reflect.Type) jsonDecodeFunc {
	switch t {
	case timeType:
		return textDecoder(parseDateTime)
	case dateTimeOffsetType:
		return textDecoder(parseDateTimeOffset)
	case durationType:
		return textDecoder(parseTimeSpan)
	case numberType:
		return decodeJSONNumber
	case rawMessageType:
		return func(r *jsonReader, v reflect.Value) error {
			raw, err := r.value()
			v.SetBytes(bytes.Clone(raw))
			return err
		}
	}
	switch pointer := reflect.PointerTo(t); {
	case t.Kind() == reflect.Pointer:
		return nil
	case pointer.Implements(jsonUnmarshalerType):
		return unmarshalJSON
	case pointer.Implements(textUnmarshalerType):
		return unmarshalJSONText
	}
	return nil
}

func textDecoder[T any](parse func([]byte) (T, bool)) jsonDecodeFunc {
	t := reflect.TypeFor[T]()
	return func(r *jsonReader, v reflect.Value) error {
		text, err := r.readText(t)
		if err != nil {
			return err
		}
		x, ok := parse(text)
		if !ok {
			return &mismatchError{wanted: t}
		}
		*(v.Addr().Interface().(*T)) = x
		return nil
	}
}

func decodeJSONNumber(r *jsonReader, v reflect.Value) error {
	text, err := r.readNumber(reflect.TypeFor[json.Number])
	v.SetString(string(text))
	return err
}

func unmarshalJSON(r *jsonReader, v reflect.Value) error {
	raw, err := r.value()
	if err != nil {
		return err
	}
	if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
		return &mismatchError{wanted: v.Type(), err: err}
	}
	return nil
}

func unmarshalJSONText(r *jsonReader, v reflect.Value) error {
	text, err := r.readText(v.Type())
	if err != nil {
		return err
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(text); err != nil {
		return &mismatchError{wanted: v.Type(), err: err}
	}
	return nil
}
