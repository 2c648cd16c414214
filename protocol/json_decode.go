package protocol

import (
	"bytes"
	"encoding"
	"encoding/base64"
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
	r := jsonDecoder{jsonReader{data: arguments, most: p.depth}}
	var last error
	for {
		start := r.pos
		if err := p.bindArray(&r, targets); err != nil {
			last = err
			r = jsonDecoder{jsonReader{data: arguments, pos: start, most: p.depth}}
			if r.skip() != nil { // nothing is read after malformed arguments
				return last
			}
		}
		if r.pos == len(arguments) || r.peek() != '[' {
			return last
		}
	}
}

func (p *JSON) bindArray(r *jsonDecoder, targets []any) error {
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
	r := jsonDecoder{jsonReader{data: raw, most: p.depth}}
	err := p.decode(&r, target)
	if err == nil {
		err = r.end()
	}
	if err == nil {
		return nil
	}
	message := jsonMessage(&r.jsonReader, err, target)
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

// decode reads the next value into a pointer. Common types need no look-up, and the
// reader stays on the stack.
func (p *JSON) decode(r *jsonDecoder, target any) (err error) {
	switch t := target.(type) {
	case *string:
		*t, err = r.readString()
	case *int:
		var n int64
		n, err = r.readInt(strconv.IntSize, reflect.TypeFor[int]())
		*t = int(n)
	case *int32:
		var n int64
		n, err = r.readInt(32, reflect.TypeFor[int32]())
		*t = int32(n)
	case *int64:
		*t, err = r.readInt(64, reflect.TypeFor[int64]())
	case *float64:
		*t, err = r.readFloat(64, reflect.TypeFor[float64]())
	case *bool:
		*t, err = r.readBool()
	default:
		*r, err = p.decodeOther(*r, target)
	}
	return err
}

// decodeOther gets a reader of its own, which escapes to the heap.
func (p *JSON) decodeOther(r jsonDecoder, target any) (jsonDecoder, error) {
	v := reflect.ValueOf(target).Elem()
	err := p.decoders.of(v.Type())(&r, v)
	return r, err
}

// jsonDecoder reads JSON values as Go values. It is the valueReader of JSON.
type jsonDecoder struct{ jsonReader }

// unexpected skips a value of the wrong type as far as .NET's reader has read when it fails.
func (r *jsonDecoder) unexpected(wanted reflect.Type) error {
	kind, err := r.token()
	if err != nil {
		return err
	}
	if kind == '{' || kind == '[' {
		r.pos++
	}
	return &mismatchError{wanted: wanted}
}

// readNull reads a null if it is next.
func (r *jsonDecoder) readNull() (bool, error) {
	if r.peek() != 'n' {
		return false, nil
	}
	return true, r.literal("null")
}

func (r *jsonDecoder) readString() (string, error) {
	if isNull, err := r.readNull(); isNull || err != nil {
		return "", err
	}
	if r.peek() != '"' {
		return "", r.unexpected(reflect.TypeFor[string]())
	}
	return r.stringValue("")
}

// readText is readString for callers that do not keep the text.
func (r *jsonDecoder) readText(wanted reflect.Type) ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.unexpected(wanted)
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

func (r *jsonDecoder) readBool() (bool, error) {
	switch r.peek() {
	case 't':
		return true, r.literal("true")
	case 'f':
		return false, r.literal("false")
	}
	return false, r.unexpected(reflect.TypeFor[bool]())
}

// readNumber returns the text of the number at the reader's position.
func (r *jsonDecoder) readNumber(wanted reflect.Type) ([]byte, error) {
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		return nil, r.unexpected(wanted)
	}
	return r.number()
}

// readInt reads a number in integer notation: neither 1.0 nor 1e0.
func (r *jsonDecoder) readInt(bits int, wanted reflect.Type) (int64, error) {
	text, err := r.readNumber(wanted)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, bits)
	if err != nil {
		return 0, &mismatchError{wanted: wanted}
	}
	return n, nil
}

func (r *jsonDecoder) readUint(bits int, wanted reflect.Type) (uint64, error) {
	text, err := r.readNumber(wanted)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.Replace(string(text), "-0", "0", 1), 10, bits)
	if err != nil {
		return 0, &mismatchError{wanted: wanted}
	}
	return n, nil
}

// readFloat reads a number. A number that is too large becomes infinite, as in .NET.
func (r *jsonDecoder) readFloat(bits int, wanted reflect.Type) (float64, error) {
	text, err := r.readNumber(wanted)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(text), bits)
	if err != nil && !math.IsInf(f, 0) {
		return 0, &mismatchError{wanted: wanted}
	}
	return f, nil
}

// decoderTable returns the parts of the decoding.
func (p *JSON) decoderTable() decoderTable[*jsonDecoder] {
	return decoderTable[*jsonDecoder]{
		known: knownJSONDecoder, bytes: decodeJSONBytes, fields: p.fieldsOf, foldCase: true, key: jsonKeyReader,
		member: func(f field) func() decodeFunc[*jsonDecoder] {
			if !f.quoted || !p.isQuotable(f.typ) {
				return nil
			}
			return func() decodeFunc[*jsonDecoder] { return quotedDecoder(f.typ, p.decoders.of(f.typ)) }
		},
	}
}

// knownJSONDecoder returns the decoder of types that are not decoded by their kind.
func knownJSONDecoder(t reflect.Type) decodeFunc[*jsonDecoder] {
	switch t {
	case timeType:
		return textDecoder(parseDateTime)
	case dateTimeOffsetType:
		return textDecoder(parseDateTimeOffset)
	case durationType:
		return textDecoder(parseTimeSpan)
	case numberType:
		return decodeJSONNumber
	case rawType:
		return decodeJSONRaw
	case rawMessageType:
		return func(r *jsonDecoder, v reflect.Value) error {
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

func textDecoder[T any](parse func([]byte) (T, bool)) decodeFunc[*jsonDecoder] {
	t := reflect.TypeFor[T]()
	return func(r *jsonDecoder, v reflect.Value) error {
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

func decodeJSONNumber(r *jsonDecoder, v reflect.Value) error {
	text, err := r.readNumber(numberType)
	v.SetString(string(text))
	return err
}

func unmarshalJSON(r *jsonDecoder, v reflect.Value) error {
	raw, err := r.value()
	if err != nil {
		return err
	}
	if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
		return &mismatchError{wanted: v.Type(), err: err}
	}
	return nil
}

func unmarshalJSONText(r *jsonDecoder, v reflect.Value) error {
	text, err := r.readText(v.Type())
	if err != nil {
		return err
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(text); err != nil {
		return &mismatchError{wanted: v.Type(), err: err}
	}
	return nil
}

func decodeJSONBytes(r *jsonDecoder, v reflect.Value) error {
	if isNull, err := r.readNull(); isNull || err != nil {
		v.SetZero()
		return err
	}
	text, err := r.readText(v.Type())
	if err != nil {
		return err
	}
	b, err := decodeBase64(text)
	if err != nil {
		return &mismatchError{wanted: v.Type(), err: err}
	}
	v.SetBytes(b)
	return nil
}

// decodeBase64 decodes padded base64 with white space anywhere.
func decodeBase64(text []byte) ([]byte, error) {
	if bytes.ContainsAny(text, " \t") {
		text = bytes.Map(func(r rune) rune {
			if r == ' ' || r == '\t' {
				return -1
			}
			return r
		}, text)
	}
	b := make([]byte, 0, base64.StdEncoding.DecodedLen(len(text)))
	return base64.StdEncoding.Strict().AppendDecode(b, text)
}

// readArray enters an array.
func (r *jsonDecoder) readArray(wanted reflect.Type) (int, error) { return r.enterOr('[', wanted) }

// readMap enters an object.
func (r *jsonDecoder) readMap(wanted reflect.Type) (int, error) { return r.enterOr('{', wanted) }

// enterOr enters an array or an object. Any other value is an error.
func (r *jsonDecoder) enterOr(bracket byte, wanted reflect.Type) (int, error) {
	if r.peek() != bracket {
		return 0, r.unexpected(wanted)
	}
	return 0, r.enter()
}

func (r *jsonDecoder) next(i, _ int) (bool, error) { return r.element(i == 0) }

// name moves to the value of the next property, as property does, and decodes its name.
func (r *jsonDecoder) name(i, _ int) (name []byte, more bool, err error) {
	name, escaped, more, err := r.property(i == 0)
	if escaped && err == nil {
		name, err = unescape(name)
	}
	return name, more, err
}

func (r *jsonDecoder) anyKey(i, n int) (key string, more bool, err error) {
	name, more, err := r.name(i, n)
	return strings.ToValidUTF8(string(name), "\uFFFD"), more, err
}

func (r *jsonDecoder) unfit(wanted reflect.Type) error { return &mismatchError{wanted: wanted} }

func jsonKeyReader(t reflect.Type) func(*jsonDecoder, int, int) (reflect.Value, bool, error) {
	return func(r *jsonDecoder, i, n int) (key reflect.Value, more bool, err error) {
		name, more, err := r.name(i, n)
		if err != nil || !more {
			return key, false, err
		}
		key = reflect.New(t).Elem()
		return key, true, setKey(key, name)
	}
}

// setKey decodes the name of a property into the key of a map.
func setKey(key reflect.Value, name []byte) (err error) {
	if t, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
		err = t.UnmarshalText(name)
	} else {
		err = setPlainKey(key, string(name))
	}
	if err != nil {
		return &mismatchError{wanted: key.Type(), err: err}
	}
	return nil
}

func setPlainKey(key reflect.Value, name string) error {
	switch {
	case key.Kind() == reflect.String:
		key.SetString(name)
		return checkText([]byte(name))
	case key.CanInt():
		n, err := strconv.ParseInt(name, 10, key.Type().Bits())
		key.SetInt(n)
		return err
	case key.CanUint():
		n, err := strconv.ParseUint(name, 10, key.Type().Bits())
		key.SetUint(n)
		return err
	}
	return errors.New("protocol: the value cannot be the key of a map")
}

// readAny reads a value for an empty interface. See readAnyNumber.
func (r *jsonDecoder) readAny() (any, error) {
	switch r.peek() {
	case '"':
		return r.readString()
	case 't', 'f':
		return r.readBool()
	case 'n':
		return nil, r.literal("null")
	case '[':
		return readAnyList(r)
	case '{':
		return readAnyMap(r)
	}
	return r.readAnyNumber()
}
