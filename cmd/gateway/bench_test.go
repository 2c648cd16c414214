package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func benchFor(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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
