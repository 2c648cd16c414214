package guard_test

import (
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
	if err := guard.Call(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := guard.Call(func() error { return io.EOF }); err != io.EOF { //nolint:errorlint // it is returned as it is
		t.Error(err)
	}
	if err := guard.Call(func() error { runtime.Goexit(); return nil }); !errors.Is(err, guard.ErrGoexit) {
		t.Error(err)
	}
	if err := guard.Call(func() error { return silent{} }); !errors.Is(err, guard.ErrGoexit) {
		t.Error(err)
	}
	var p *guard.Panic
	err := guard.Call(func() error { panic("boom") })
	if !errors.As(err, &p) || err.Error() != "panic: boom" || !strings.Contains(string(p.Stack), "TestCall") {
		t.Error(err)
	}
}
