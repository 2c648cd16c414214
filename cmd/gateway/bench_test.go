package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

func benchFor(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, append([]string{"bench", "--connections", "3", "--warmup", "0s", "--duration", "500ms"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestBench(t *testing.T) {
	code, out, stderr := benchFor(t, greeter(t), "--mode", "connect", "--transport", "sse")
	if code != exitOK || !strings.Contains(out, "connect by sse, json, 3 connections") || !strings.Contains(out, "p99.9") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
}

func TestBenchForScripts(t *testing.T) {
	code, out, stderr := benchFor(t, greeter(t), "--json", "--mode", "negotiate")
	if code != exitOK {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"url", "mode", "transport", "protocol", "connections", "seconds", "opened", "openSeconds", "failed", "lost", "errors", "operations", "perSecond", "latency", "bytesReceived"} {
		if _, there := got[field]; !there {
			t.Errorf("no field %s in %s", field, out)
		}
	}
	for _, field := range []string{"count", "meanMicros", "p50Micros", "p99Micros", "p999Micros", "maxMicros"} {
		if _, there := got["latency"].(map[string]any)[field]; !there {
			t.Errorf("no field latency.%s in %s", field, out)
		}
	}
}

// Refusals by a limit of the server are a result in every mode, and negotiated connections are
// closed: a small limit is enough for many negotiations.
func TestBenchAtALimit(t *testing.T) {
	limited := func(connections int) (*endpoint.Endpoint, string) {
		h := hub.New(hub.Options{})
		h.Handle("Echo", hub.Func1(func(_ context.Context, text string) (string, error) { return text, nil }))
		h.Handle("Broadcast", hub.Action1(func(ctx context.Context, at int64) error { return h.Clients().All().Send(ctx, "Tick", at) }))
		e := endpoint.New(h, endpoint.Options{Options: transports.Options{Limits: transports.Limits{Connections: connections}}})
		server := httptest.NewServer(e)
		t.Cleanup(func() {
			_ = e.Shutdown(context.Background())
			server.Close()
		})
		return e, server.URL
	}
	e, url := limited(50) // an answered DELETE may still be under way
	code, out, stderr := benchFor(t, url, "--mode", "negotiate", "--json")
	if code != exitOK || !strings.Contains(out, `"refused": 0`) || e.Connections() > 3 {
		t.Errorf("below the limit: exit code %d, %d connections remain\n%s%s", code, e.Connections(), out, stderr)
	}
	_, url = limited(3)
	for _, mode := range []string{"negotiate", "connect"} {
		code, out, stderr := benchFor(t, url, "--mode", mode, "--connections", "20")
		if code != exitOK || !strings.Contains(out, "by a limit of the server") || !strings.Contains(out, "status 503") {
			t.Errorf("%s above the limit: exit code %d\n%s%s", mode, code, out, stderr)
		}
	}
	for _, mode := range []string{"idle", "echo", "broadcast"} {
		_, url := limited(3)
		code, out, stderr := benchFor(t, url, "--mode", mode, "--connections", "5")
		if code != exitOK || !strings.Contains(out, "opened") || !strings.Contains(out, "2 by a limit of the server") {
			t.Errorf("%s above the limit: exit code %d\n%s%s", mode, code, out, stderr)
		}
	}
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }))
	defer full.Close()
	for _, mode := range []string{"negotiate", "idle", "echo", "broadcast"} {
		if code, out, stderr := benchFor(t, full.URL, "--mode", mode); code != exitOK || !strings.Contains(out, "status 429") {
			t.Errorf("%s without any connection: exit code %d\n%s%s", mode, code, out, stderr)
		}
	}
}

func TestBenchTellsFailures(t *testing.T) {
	if code, _, stderr := benchFor(t, "http://127.0.0.1:1/"); code != exitFailure || !strings.Contains(stderr, "no connection") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, _ := benchFor(t, "http://x", "--mode", "sleep"); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	// The hub has no such method: the result is shown, and the exit code tells.
	code, out, stderr := benchFor(t, greeter(t), "--mode", "echo", "--method", "Nobody")
	if code != exitFailure || !strings.Contains(out, " errors") || !strings.Contains(stderr, "Nobody") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
}
