package guard_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/internal/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// silent is an error that ends the goroutine that looks at it.
type silent struct{}

func (silent) Error() string { runtime.Goexit(); return "" }

func TestCall(t *testing.T) {
	if err := guard.Call(t.Context(), func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := guard.Call(t.Context(), func() error { return io.EOF }); err != io.EOF { //nolint:errorlint // it is returned as it is
		t.Error(err)
	}
	if err := guard.Call(t.Context(), func() error { runtime.Goexit(); return nil }); !errors.Is(err, guard.ErrGoexit) {
		t.Error(err)
	}
	if err := guard.Call(t.Context(), func() error { return silent{} }); !errors.Is(err, guard.ErrGoexit) {
		t.Error(err)
	}
	var p *guard.Panic
	err := guard.Call(t.Context(), func() error { panic("boom") })
	if !errors.As(err, &p) || err.Error() != "panic: boom" || !strings.Contains(string(p.Stack), "TestCall") {
		t.Error(err)
	}
}

// TestCallLeaves: the end of ctx ends the wait, not the function.
func TestCallLeaves(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.EOF)
	left := make(chan struct{})
	defer close(left)
	if err := guard.Call(ctx, func() error { <-left; return nil }); err != io.EOF { //nolint:errorlint // it is returned as it is
		t.Error(err)
	}
}

func TestRunReplacesPanics(t *testing.T) {
	var p *guard.Panic
	if err := guard.Run(func() error { panic("boom") }); !errors.As(err, &p) || p.Value != "boom" {
		t.Error(err)
	}
	var none *guard.Panic
	if err := guard.Run(func() error { return none }); !errors.As(err, &p) || p == none {
		t.Error(err)
	}
	if err := guard.Run(func() error { return io.EOF }); err != io.EOF { //nolint:errorlint // it is returned as it is
		t.Error(err)
	}
}
