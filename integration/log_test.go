package integration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
)

// TestFailedMethodsAreLogged: each error of a hub method is a line at ERROR with the method
// and the connection, also of streams and of invocations without an id.
func TestFailedMethodsAreLogged(t *testing.T) {
	s := startServer(t, true, build(t, "./testhub"))
	conn := client.New(s.URL()+"/testhub", client.Options{})
	if err := conn.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Stop(context.Background()) }()
	if err := conn.Invoke(t.Context(), "ThrowException", "called"); err == nil {
		t.Error("the method did not fail")
	}
	if err := conn.Send(t.Context(), "ThrowException", "sent"); err != nil {
		t.Fatal(err)
	}
	for _, err := range client.Stream[string](t.Context(), conn, "StreamThrowException", "streamed") {
		if err == nil {
			t.Error("the stream did not fail")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, want := range []string{"called", "sent", "streamed"} {
		for !hasLine(s.Output.String(), "ERROR", "hub method failed", "connection_id="+conn.ConnectionID(), "ThrowException", want) {
			if ctx.Err() != nil {
				t.Fatalf("no line for %q in\n%s", want, &s.Output)
			}
			time.Sleep(10 * time.Millisecond) // another process writes the log
		}
	}
}

// hasLine reports whether a line contains all of words.
func hasLine(log string, words ...string) bool {
	for line := range strings.Lines(log) {
		found := 0
		for _, word := range words {
			if strings.Contains(line, word) {
				found++
			}
		}
		if found == len(words) {
			return true
		}
	}
	return false
}
