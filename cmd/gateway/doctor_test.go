package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func doctorFor(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, append([]string{"doctor"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// refuseWebSockets is a proxy that does.
func refuseWebSockets(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "nginx")
		if r.Header.Get("Upgrade") != "" {
			r.Header.Del("Upgrade")
			r.Header.Del("Connection")
		}
		next.ServeHTTP(w, r)
	})
}

func TestDoctorExitCodes(t *testing.T) {
	code, out, stderr := doctorFor(t, greeter(t), "--idle", "10ms")
	if code != 0 || !strings.Contains(out, "all is well; best by WebSockets") || !strings.Contains(stderr, "trying LongPolling") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
	code, out, _ = doctorFor(t, greeterBehind(t, refuseWebSockets), "--idle", "0s")
	if code != 1 || !strings.Contains(out, "best by ServerSentEvents") || !strings.Contains(out, "    proxy_set_header Upgrade $http_upgrade;\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out, _ := doctorFor(t, "http://127.0.0.1:1/"); code != 2 || !strings.Contains(out, "nothing works") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out, stderr := doctorFor(t, "localhost:8080/hub"); code != exitUsage || out != "" || !strings.Contains(stderr, "http://") {
		t.Errorf("without a scheme: exit status %d: %s%s", code, out, stderr)
	}
	if code, _, _ := doctorFor(t, "http://x", "--idle", "3m"); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}

// bufferStreams is a proxy that passes on no event stream.
func bufferStreams(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			w = &withheld{ResponseWriter: w}
		}
		next.ServeHTTP(w, r)
	})
}

type withheld struct{ http.ResponseWriter }

func (*withheld) WriteHeader(int)             {}
func (*withheld) Write(p []byte) (int, error) { return len(p), nil }
func (*withheld) Flush()                      {}

// The table and the finding call a buffered stream as the diagnosis page does.
func TestDoctorNamesBuffering(t *testing.T) {
	code, out, stderr := doctorFor(t, greeterBehind(t, bufferStreams), "--idle", "0s")
	if code != 1 || !strings.Contains(out, "ServerSentEvents  buffered  ") || !strings.Contains(out, "found: ServerSentEvents is buffered by a proxy, more than 64 KB\n") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
}

func TestDoctorForScripts(t *testing.T) {
	code, out, _ := doctorFor(t, greeterBehind(t, refuseWebSockets), "--idle", "0s", "--json")
	var got struct {
		Verdict, Best string
		Findings      []struct{ Code, Transport string }
		Advice        []struct {
			Box   string
			Lines []string
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if code != 1 || got.Verdict != "fallback" || got.Best != "ServerSentEvents" || len(got.Findings) != 1 || got.Findings[0].Code != "upgrade-stripped" || got.Advice[0].Box != "nginx" {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
