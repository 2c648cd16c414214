package hub

import (
	"context"
	"reflect"
	"slices"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// Method is the untyped form of a typed function. It is made by FuncN, ActionN or StreamN
// and registered by [Hub.Handle].
type Method struct {
	newCall    func() *call                                     // makes a call with new parameters
	invoke     func(ctx context.Context, p params) (any, error) // a stream's result is an iter.Seq2[any, error], or nil
	function   reflect.Value                                    // the typed function
	stream     bool                                             // answers with items
	uploads    []int                                            // the indexes of the parameters that are uploaded streams
	parameters []reflect.Type                                   // that are decoded: of uploads, the types of the items
	// decodesItself is set if a parameter may have methods to decode itself.
	decodesItself bool
	authorize     []auth.Policy // nil: anonymous callers may call the method too
}

// Authorize returns a copy of the method that runs only for callers with a user that all
// policies allow, and that those of earlier calls of Authorize allow. Without a policy it
// runs for every user. The policies are asked before each run, in order, until one
// refuses; ctx is that of the method. Of a refusal the client learns only that there was
// one. Authorize panics if a policy is nil.
func (m Method) Authorize(policies ...auth.Policy) Method {
	checkPolicies(policies)
	if len(policies) == 0 {
		policies = []auth.Policy{auth.Authenticated}
	}
	m.authorize = slices.Concat(m.authorize, policies)
	return m
}

// bound is a call and its parameters in one allocation.
type bound[P any] struct {
	call
	p P
}

func newMethod[P any, PP interface {
	*P
	params
}](stream bool, function any, invoke func(ctx context.Context, p PP) (any, error)) Method {
	m := Method{
		newCall: func() *call {
			b := new(bound[P])
			b.params = PP(&b.p)
			return &b.call
		},
		invoke:   func(ctx context.Context, p params) (any, error) { return invoke(ctx, p.(PP)) },
		function: reflect.ValueOf(function),
		stream:   stream,
	}
	for i, target := range PP(new(P)).targets() {
		t := reflect.TypeOf(target).Elem()
		if u, ok := target.(uploadTarget); ok {
			m.uploads = append(m.uploads, i)
			t = u.itemType()
		}
		m.parameters = append(m.parameters, t)
		m.decodesItself = m.decodesItself || protocol.DecodesItself(t)
	}
	return m
}

// published is a registered method.
type published struct {
	Method
	name  string
	place string // of its registration, as file:line
}

// split separates a call's parameters into arguments and uploaded streams.
func (m *published) split(p params) (arguments []any, streams []uploadTarget) {
	all := p.targets()
	if len(m.uploads) == 0 {
		return all, nil
	}
	for _, t := range all {
		if u, ok := t.(uploadTarget); ok {
			streams = append(streams, u)
		} else {
			arguments = append(arguments, t)
		}
	}
	return arguments, streams
}

// bind decodes the arguments into targets.
func (m *published) bind(w *wire, arguments []byte, targets []any) (err error) {
	defer guard.Recover(&err)
	if !m.decodesItself {
		return w.Bind(arguments, targets...)
	}
	return guard.Call(context.Background(), func() error { return w.Bind(arguments, targets...) })
}
