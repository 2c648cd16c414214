package hub

import (
	"context"
	"fmt"
	"reflect"
	"slices"
)

// Method is a typed function in its untyped form, made by FuncN, ActionN or StreamN
// and published by [Hub.Handle].
type Method struct {
	newCall   func() *call                                     // with fresh parameters
	invoke    func(ctx context.Context, p params) (any, error) // a stream's result is an iter.Seq2[any, error], or nil
	function  reflect.Value                                    // the typed function
	stream    bool                                             // answers by items
	uploads   []int                                            // which parameters are uploaded streams
	authorize []func(ctx context.Context) bool                 // all of them have to agree
}

// Authorize returns the method for those callers only that allowed approves of, and all
// functions that were given to Authorize before: the method runs if every one of them returns
// true. They are called each time before the method runs, in the order in which they were
// given, until one returns false; they may use [CallerFrom]. Authorize panics if allowed is nil.
func (m Method) Authorize(allowed func(ctx context.Context) bool) Method {
	if allowed == nil {
		panic(fmt.Sprintf("hub: %s: Authorize needs a function", registrant()))
	}
	m.authorize = append(slices.Clip(m.authorize), allowed)
	return m
}

// isAuthorized reports whether the caller of ctx may call the method.
func (m *Method) isAuthorized(ctx context.Context) bool {
	for _, allowed := range m.authorize {
		if !allowed(ctx) {
			return false
		}
	}
	return true
}

// bound is a call and its parameters in one piece of memory.
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
	for i, t := range PP(new(P)).targets() {
		if _, ok := t.(uploadTarget); ok {
			m.uploads = append(m.uploads, i)
		}
	}
	return m
}

// published is a method under the name it was declared with.
type published struct {
	Method
	name  string
	place string // of its registration, as file:line
	// decodesItself: a parameter may have methods to decode itself.
	decodesItself bool
}

// split parts a call's parameters into those that come as arguments and those that
// come as streams.
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
