package client

import (
	"context"
	"maps"
)

type headersKey struct{}

// WithHeaders returns a ctx for calls that carry headers: Invoke, Send and Stream send them with the
// invocation, unlike Options.Header, which belongs to HTTP requests. Headers that ctx has already
// are sent too, unless headers has the same name. Carillon's hubs read them with hub.HeadersFrom and
// in filters. ASP.NET Core uses a trace context (traceparent, tracestate and baggage) and ignores
// other headers. A call with MessagePack fails if a name or a value is empty.
func WithHeaders(ctx context.Context, headers map[string]string) context.Context {
	all := make(map[string]string)
	maps.Copy(all, headersFrom(ctx))
	maps.Copy(all, headers)
	return context.WithValue(ctx, headersKey{}, all)
}

func headersFrom(ctx context.Context) map[string]string {
	headers, _ := ctx.Value(headersKey{}).(map[string]string)
	return headers
}
