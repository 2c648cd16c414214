package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/protocol"
)

// callHeaders: servers accept invocations of all kinds with headers, however they are spelled.
func callHeaders(r *rig) {
	c := r.connect("/testhub")
	ctx := WithHeaders(r.within(), map[string]string{"a": "1", "Grüße \"": "line\nfeed \u2028 😀", strings.Repeat("n", 300): strings.Repeat("v", 3000)})
	for range 2 {
		if text, err := Invoke[string](ctx, c, "Echo", "x"); err != nil || text != "x" {
			r.Errorf("Echo: %q, %v", text, err)
		}
		if err := c.Send(ctx, "Echo", "x"); err != nil {
			r.Error(err)
		}
		if items, err := collect(Stream[string](ctx, c, "Stream")); err != nil || strings.Join(items, "") != "abc" {
			r.Errorf("Stream: %v, %v", items, err)
		}
		words := make(chan string, 2)
		words <- "up"
		words <- "load"
		close(words)
		if text, err := Invoke[string](ctx, c, "StreamingConcat", UploadChan(words)); err != nil || text != "upload" {
			r.Errorf("upload: %q, %v", text, err)
		}
	}
	for _, empty := range []map[string]string{{"": "value"}, {"name": ""}} {
		err := c.Invoke(WithHeaders(ctx, empty), "Echo", "x")
		if fault := new(protocol.Fault); r.combo.protocol.Binary() != errors.As(err, &fault) || !r.combo.protocol.Binary() && err != nil {
			r.Errorf("with the headers %q: %v", empty, err)
		}
	}
	r.echo(c, "still")
}

// TestOriginalTraceContext: the original takes the trace context of an invocation from its headers.
func TestOriginalTraceContext(t *testing.T) {
	t.Setenv("LAB_TELEMETRY", "1")
	server := original(t)
	for _, combo := range combos() {
		r := &rig{T: t, server: server, combo: combo}
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		c := r.connect("/lab")
		r.get("/lab-telemetry")
		if err := c.Invoke(WithHeaders(r.within(), map[string]string{"traceparent": parent}), "Void"); err != nil {
			t.Fatal(err)
		}
		var telemetry string
		r.until("the activity", func() bool {
			telemetry += r.get("/lab-telemetry")
			return strings.Contains(telemetry, "InvocationIn ")
		})
		if !strings.Contains(telemetry, " parent="+parent+" ") {
			t.Errorf("%v: %s", combo, telemetry)
		}
	}
}

// TestHeadersAddUp: the last value of a name counts, and the caller's maps are not kept.
func TestHeadersAddUp(t *testing.T) {
	t.Parallel()
	first := map[string]string{"a": "1", "b": "1"}
	outer := WithHeaders(t.Context(), first)
	inner := WithHeaders(outer, map[string]string{"b": "2", "c": "2"})
	first["a"] = "changed"
	for want, got := range map[string]map[string]string{"11": headersFrom(outer), "122": headersFrom(inner), "": headersFrom(t.Context())} {
		if got["a"]+got["b"]+got["c"] != want {
			t.Errorf("got %v, want the values %s", got, want)
		}
	}
}
