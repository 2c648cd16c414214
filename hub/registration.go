package hub

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"github.com/carillon-go/carillon/protocol"
)

// registering returns the place of a registration, as file:line. It panics after the
// first connection.
func (h *Hub) registering() (place string) {
	place = registrant()
	if h.started.Load() {
		panic("hub: " + place + ": registration after the first connection")
	}
	return place
}

// registerOnce panics if a function that a hub has at most once is already set, or is
// nil.
func (h *Hub) registerOnce(name string, isSet, isNil bool) {
	place := h.registering()
	switch {
	case isNil:
		panic(fmt.Sprintf("hub: %s: %s needs a function", place, name))
	case isSet:
		panic(fmt.Sprintf("hub: %s: the hub has a function for %s already", place, name))
	}
}

// registrant returns the nearest caller outside this package, as file:line.
func registrant() string {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	own := reflect.TypeFor[Hub]().PkgPath() + "."
	for {
		frame, more := frames.Next()
		if !more || !strings.HasPrefix(frame.Function, own) {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
	}
}

var (
	errNoName     = errors.New("a method needs a name")
	errNoFunction = errors.New("a method needs a function")
)

// check returns the reason why a method cannot be registered, or nil.
func (h *Hub) check(name string, m Method) error {
	if name == "" {
		return errNoName
	}
	if taken, ok := h.methods[foldName(name)]; ok {
		return fmt.Errorf("there is a method %q already, registered at %s", taken.name, taken.place)
	}
	if m.newCall == nil || m.function.IsNil() {
		return fmt.Errorf("%q: %w", name, errNoFunction)
	}
	for _, w := range h.wires {
		if err := m.check(w.HubProtocol); err != nil {
			return fmt.Errorf("%q: the protocol %s cannot write or read it: %w", name, w.Name(), err)
		}
	}
	return nil
}

// check returns an error if p cannot handle a parameter or the result of the method.
func (m *Method) check(p protocol.HubProtocol) error {
	for i, t := range m.parameters {
		if err := checkParameter(p, t); err != nil {
			return fmt.Errorf("parameter %d: %w", i+1, err)
		}
	}
	if err := m.checkResult(p); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

var errHiddenUpload = errors.New("an Upload must be a parameter and not a part of one")

func checkParameter(p protocol.HubProtocol, t reflect.Type) error {
	for inner := t; ; inner = inner.Elem() {
		if isUpload(inner) {
			return errHiddenUpload
		}
		if inner.Kind() != reflect.Pointer {
			return protocol.CheckDecode(p, t)
		}
	}
}

func isUpload(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[uploadTarget]())
}

// checkResult checks the result of the typed function, or the items of its stream.
func (m *Method) checkResult(p protocol.HubProtocol) error {
	f := m.function.Type()
	if f.NumOut() == 1 { // only an error
		return nil
	}
	result := f.Out(0)
	if m.stream { // an iter.Seq2: the first parameter of its yield function is the item
		result = result.In(0).In(0)
	}
	if isUpload(result) {
		return errHiddenUpload
	}
	return protocol.CheckEncode(p, result)
}
