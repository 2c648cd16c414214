package protocol

import "reflect"

// isQuotable reports whether the option "string" of a tag means something for a type: as to encoding/json for booleans, numbers and
// strings, and pointers to these, that are not written in a way of their own.
func (p *JSON) isQuotable(t reflect.Type) bool {
	if t.Name() == "" {
		t = base(t)
	}
	if t == numberType {
		return true
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return p.knownEncoder(t) == nil && knownJSONDecoder(t) == nil
	}
	return false
}

// quotedEncoder writes what encode writes as the text of a string; null stays null.
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

// quotedDecoder reads with decode what is the text of a string, which may not be null; into a pointer null is read too.
func quotedDecoder(t reflect.Type, decode jsonDecodeFunc) jsonDecodeFunc {
	return func(r *jsonReader, v reflect.Value) error {
		if v.Kind() == reflect.Pointer && r.peek() == 'n' {
			return decode(r, v)
		}
		text, err := r.readText(t)
		if err != nil {
			return err
		}
		inner := jsonReader{data: text}
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
