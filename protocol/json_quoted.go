package protocol

import "reflect"

// isQuotable reports whether the option "string" of a tag applies to a type. As in
// encoding/json it applies to booleans, numbers, strings and pointers to these, unless
// they have an encoding of their own.
func (p *JSON) isQuotable(t reflect.Type) bool {
	if t.Name() == "" {
		t = base(t)
	}
	if t == numberType {
		return true
	}
	k := t.Kind()
	isScalar := k == reflect.String || reflect.Bool <= k && k <= reflect.Float64
	return isScalar && p.encoders.known(t) == nil && knownJSONDecoder(t) == nil
}

// quotedEncoder encodes the output of encode as a string. null stays null.
func quotedEncoder(encode encodeFunc) encodeFunc {
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return encode(dst, v, depth)
		}
		text, err := encode(nil, v, depth)
		if err != nil {
			return dst, err
		}
		return appendJSONString(dst, text), nil
	}
}

// quotedDecoder decodes the text of a string with decode. The string may not be null,
// except for a pointer.
func quotedDecoder(t reflect.Type, decode decodeFunc[*jsonDecoder]) decodeFunc[*jsonDecoder] {
	return func(r *jsonDecoder, v reflect.Value) error {
		if v.Kind() == reflect.Pointer && r.peek() == 'n' {
			return decode(r, v)
		}
		text, err := r.readText(t)
		if err != nil {
			return err
		}
		inner := jsonDecoder{jsonReader{data: text}}
		if inner.peek() == 'n' {
			return &mismatchError{wanted: t}
		}
		if err := decode(&inner, v); err != nil {
			return &mismatchError{wanted: t, err: err}
		}
		if inner.pos < len(text) {
			return &mismatchError{wanted: t}
		}
		return nil
	}
}
