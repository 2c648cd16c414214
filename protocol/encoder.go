package protocol

import "reflect"

// encodeFunc appends a value of one type. depth is the number of surrounding arrays and
// objects.
type encodeFunc func(dst []byte, v reflect.Value, depth int) ([]byte, error)

// encoderTable holds the parts of one encoding.
type encoderTable struct {
	boolean, integer, unsigned, single, double, text, guid, time, offset, duration, number encodeFunc

	marshaler            reflect.Type // the interface of types that encode themselves by marshal
	marshal, marshalText encodeFunc

	dynamic                           encodeFunc // of interfaces
	pointer, list, mapping, structure func(reflect.Type) encodeFunc
}

// encoder returns the function that encodes values of a type.
func (e *encoderTable) encoder(t reflect.Type) encodeFunc {
	if f := e.known(t); f != nil {
		return f
	}
	switch t.Kind() {
	case reflect.Bool:
		return e.boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return e.integer
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return e.unsigned
	case reflect.Float32:
		return e.single
	case reflect.Float64:
		return e.double
	case reflect.String:
		return e.text
	case reflect.Interface:
		return e.dynamic
	case reflect.Pointer:
		return e.pointer(t)
	case reflect.Slice, reflect.Array:
		return e.list(t)
	case reflect.Map:
		return e.mapping(t)
	case reflect.Struct:
		return e.structure(t)
	}
	return unsupported(t)
}

// known returns the encoder of types that are not encoded by their kind. A value behind a
// pointer or an interface has an encoder of its own.
func (e *encoderTable) known(t reflect.Type) encodeFunc {
	switch t {
	case guidType:
		return e.guid
	case timeType:
		return e.time
	case dateTimeOffsetType:
		return e.offset
	case durationType:
		return e.duration
	case numberType:
		return e.number
	}
	switch pointer := reflect.PointerTo(t); {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface:
		return nil
	case t.Implements(e.marshaler):
		return e.marshal
	case t.Implements(textMarshalerType):
		return e.marshalText
	case pointer.Implements(e.marshaler):
		return addressed(e.marshal)
	case pointer.Implements(textMarshalerType):
		return addressed(e.marshalText)
	}
	return nil
}

// addressed calls f with a pointer to the value, or to a copy of it.
func addressed(f encodeFunc) encodeFunc {
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if !v.CanAddr() {
			c := reflect.New(v.Type()).Elem()
			c.Set(v)
			v = c
		}
		return f(dst, v.Addr(), depth)
	}
}

// cannotWrite returns the fault of a value with a method that failed.
func cannotWrite(err error) error {
	if fault := asFault(err); fault != nil {
		return fault
	}
	return &Fault{Exception: "JsonException", Message: err.Error()}
}

func unsupported(t reflect.Type) encodeFunc {
	return func(dst []byte, _ reflect.Value, _ int) ([]byte, error) {
		return dst, &Fault{Exception: "NotSupportedException", Message: "Serialization and deserialization of '" + t.String() + "' instances is not supported."}
	}
}
