package hub

import "context"

// Method is a typed function in its untyped form, made by FuncN, ActionN or StreamN
// and published by [Hub.Handle].
type Method struct {
	newCall   func() *call                                     // with fresh parameters
	invoke    func(ctx context.Context, p params) (any, error) // a stream's result is an iter.Seq2[any, error], or nil
	stream    bool                                             // answers by items
	uploads   []int                                            // which parameters are uploaded streams
	authorize func(ctx context.Context) bool                   // nil: everybody may
}

// Authorize returns the method for those callers only of whom allowed approves. It
// is asked each time before the method runs, and may use [CallerFrom].
func (m Method) Authorize(allowed func(ctx context.Context) bool) Method {
	m.authorize = allowed
	return m
}

// bound is a call and its parameters in one piece of memory.
type bound[P any] struct {
	call
	p P
}

func newMethod[P any, PP interface {
	*P
	params
}](stream bool, invoke func(ctx context.Context, p PP) (any, error)) Method {
	m := Method{
		newCall: func() *call {
			b := new(bound[P])
			b.params = PP(&b.p)
			return &b.call
		},
		invoke: func(ctx context.Context, p params) (any, error) { return invoke(ctx, p.(PP)) },
		stream: stream,
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
	name string
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
