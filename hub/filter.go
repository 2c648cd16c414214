package hub

import "context"

// Filter runs code around the invocations, connects and disconnects of a hub. Each
// function is optional. It calls next with the ctx it was given or with one derived from
// it. Filters also see invocations of unknown methods and invocations with arguments that
// do not fit; for these, next returns the error. An invocation of that kind does not
// overtake others if the hub has a filter with Invoke. For an invocation by a caller that
// is not authorized, next returns an error that wraps auth.ErrForbidden and the reason,
// and the client gets the refusal whatever the filter returns.
type Filter struct {
	// Invoke runs around an invocation, after its authorization was decided. The result of
	// a streaming method is an iter.Seq2[any, error].
	Invoke func(ctx context.Context, inv *Invocation, next func(context.Context) (any, error)) (any, error)
	// Connect runs around Hub.OnConnected. An error ends the connection.
	Connect func(ctx context.Context, next func(context.Context) error) error
	// Disconnect runs around Hub.OnDisconnected. cause is nil after an orderly end.
	Disconnect func(ctx context.Context, cause error, next func(ctx context.Context, cause error))
}

// Invocation describes an invocation to a filter.
type Invocation struct {
	// Method is the method's name as registered, or "" if the method is unknown.
	Method string
	// Known reports whether the method exists.
	Known bool
	// Target is the method's name as sent by the client.
	Target string
	// Headers are the message's headers, for example a trace context. May be nil.
	Headers map[string]string

	params params
}

// Arguments returns copies of the decoded arguments, uploads included: of an unknown method,
// of type protocol.Raw, if the hub has a function for these (Hub.HandleUnknown), and otherwise
// nil. It returns nil for arguments that do not fit.
func (i *Invocation) Arguments() []any {
	if i.params == nil {
		return nil
	}
	return i.params.values()
}

// filtered runs the Invoke filters around last.
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
