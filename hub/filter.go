package hub

import "context"

// Filter is code around what a hub does for its clients. Each function is optional;
// it calls next for what it surrounds, with the ctx it was given or one made from it.
// Filters see invocations of unknown methods, and such as do not fit their method,
// too: next returns the error then. An invocation that such a filter sees never
// overtakes another.
type Filter struct {
	// Invoke surrounds an invocation, after its authorization. The result of a
	// streaming method is an iter.Seq2[any, error].
	Invoke func(ctx context.Context, inv *Invocation, next func(context.Context) (any, error)) (any, error)
	// Connect surrounds Hub.OnConnected; an error ends the connection.
	Connect func(ctx context.Context, next func(context.Context) error) error
	// Disconnect surrounds Hub.OnDisconnected; cause is nil for an orderly end.
	Disconnect func(ctx context.Context, cause error, next func(ctx context.Context, cause error))
}

// Invocation is what a filter sees of one.
type Invocation struct {
	// Method is the name as it was declared; "" for an unknown one.
	Method string
	// Known tells whether there is such a method.
	Known bool
	// Target is the name as the client wrote it.
	Target string
	// Headers of the message, such as a trace context. May be nil.
	Headers map[string]string

	params params
}

// Arguments returns copies of the decoded arguments, uploads among them; nil for an
// unknown method and for arguments that do not fit.
func (i *Invocation) Arguments() []any {
	if i.params == nil {
		return nil
	}
	return i.params.values()
}

// filtered invokes what lies within the filters.
func filtered(ctx context.Context, filters []Filter, inv *Invocation, last func(context.Context) (any, error)) (any, error) {
	for i, f := range filters {
		if f.Invoke != nil {
			return f.Invoke(ctx, inv, func(ctx context.Context) (any, error) {
				return filtered(ctx, filters[i+1:], inv, last)
			})
		}
	}
	return last(ctx)
}

func filteredConnect(ctx context.Context, filters []Filter, last func(context.Context) error) error {
	for i, f := range filters {
		if f.Connect != nil {
			return f.Connect(ctx, func(ctx context.Context) error {
				return filteredConnect(ctx, filters[i+1:], last)
			})
		}
	}
	return last(ctx)
}

func filteredDisconnect(ctx context.Context, cause error, filters []Filter, last func(context.Context, error)) {
	for i, f := range filters {
		if f.Disconnect != nil {
			f.Disconnect(ctx, cause, func(ctx context.Context, cause error) {
				filteredDisconnect(ctx, cause, filters[i+1:], last)
			})
			return
		}
	}
	last(ctx, cause)
}
