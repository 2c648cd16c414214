package floodgate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/internal/floodgate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a log that counts its lines.
type book struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var line map[string]any
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	b.lines = append(b.lines, line)
	return len(p), nil
}

// read returns the lines as texts of the form "event kind left_out", without those.
func (b *book) read() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var texts []string
	for _, line := range b.lines {
		texts = append(texts, strings.Join(strings.Fields(fmt.Sprint(line["msg"], line["event"], line["kind"], line["left_out"])), " "))
	}
	b.lines = nil
	return texts
}

func newGate(level slog.Level) (*floodgate.Gate, *book) {
	b := &book{}
	log := slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level}))
	return floodgate.New(log), b
}

func kind(value string, burst int) floodgate.Kind {
	return floodgate.Kind{Level: slog.LevelWarn, Event: "oops", Key: "kind", Value: value, Burst: burst}
}

func oops(gate *floodgate.Gate, k floodgate.Kind) {
	gate.Log(k, func() []slog.Attr { return nil })
}

// count returns the number of lines with an event, and the sum of their left_out.
func (b *book) count(event string) (lines int, leftOut float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.lines {
		if line["msg"] == event {
			lines++
			n, _ := line["left_out"].(float64)
			leftOut += n
		}
	}
	return lines, leftOut
}

func TestAFloodWritesFewLinesAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, book := newGate(slog.LevelInfo)
		const lines = 100_000
		for range lines {
			oops(gate, kind("a", 20))
			time.Sleep(time.Millisecond) //nolint:forbidigo // the bubble's clock advances
		}
		oops(gate, kind("b", 20)) // another kind is not affected
		gate.Close()
		written, leftOut := book.count("oops")
		reports, reported := book.count("log lines left out")
		if written < 21 || written+reports > 50 {
			t.Errorf("%d lines and %d reports", written, reports)
		}
		if sum := float64(written) + leftOut + reported; sum != lines+1 {
			t.Errorf("%v of %d lines are written or counted", sum, lines+1)
		}
	})
}

func TestLinesLeftOutAreReportedWithoutAFurtherLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, book := newGate(slog.LevelInfo)
		for range 5 {
			oops(gate, kind("a", 2))
		}
		if got := book.read(); len(got) != 2 {
			t.Errorf("%q", got)
		}
		time.Sleep(floodgate.Interval + time.Second) //nolint:forbidigo // the bubble's clock advances
		if got := book.read(); len(got) != 1 || !strings.Contains(got[0], "left out") {
			t.Errorf("%q", got)
		}
		if n, ok := gate.Admit(kind("a", 2)); n != 0 || !ok {
			t.Error("the lines are reported twice, or none passes after a pause", n, ok)
		}
	})
}

func TestCloseReportsAndStartsNothingAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, book := newGate(slog.LevelInfo)
		oops(gate, kind("a", 1))
		oops(gate, kind("a", 1))
		gate.Close()
		if lines, leftOut := book.count("log lines left out"); lines != 1 || leftOut != 1 {
			t.Error(lines, leftOut)
		}
		oops(gate, kind("a", 1))
		time.Sleep(2 * floodgate.Interval) //nolint:forbidigo // the bubble's clock advances
		oops(gate, kind("a", 1))
		if lines, leftOut := book.count("oops"); lines != 2 || leftOut != 1 {
			t.Error(lines, leftOut)
		}
	})
}

func TestManyKindsShareOneLimitAndNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, book := newGate(slog.LevelInfo)
		for i := range 100_000 {
			oops(gate, kind(fmt.Sprint(i), 3))
		}
		if lines, _ := book.count("oops"); lines > 1100 {
			t.Errorf("%d lines", lines)
		}
		time.Sleep(10 * floodgate.Interval) //nolint:forbidigo // the bubble's clock advances
		oops(gate, kind("new", 3))
		if n, ok := gate.Admit(kind("new", 3)); n != 0 || !ok {
			t.Error("old kinds are not forgotten", n, ok)
		}
		gate.Close()
	})
}

func TestALevelThatIsNotLoggedIsNotCounted(t *testing.T) {
	gate, book := newGate(slog.LevelError)
	for range 5 {
		oops(gate, kind("a", 1))
	}
	gate.Close()
	if got := book.read(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// echo is a log handler that writes a line of its own through the gate for each report.
type echo struct {
	slog.Handler
	gate *floodgate.Gate
}

func (e *echo) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "log lines left out" {
		oops(e.gate, kind("of the handler", 1))
	}
	return e.Handler.Handle(ctx, r)
}

func TestAHandlerMayUseTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		handler := &echo{Handler: slog.NewJSONHandler(b, nil)}
		handler.gate = floodgate.New(slog.New(handler))
		for range 2 {
			oops(handler.gate, kind("a", 1))
		}
		time.Sleep(floodgate.Interval) //nolint:forbidigo // the bubble's clock advances
		handler.gate.Close()
		if lines, _ := b.count("oops"); lines != 2 {
			t.Errorf("%d lines, want the first one and the handler's", lines)
		}
	})
}
