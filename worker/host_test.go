package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/worker"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() worker.Options {
	return worker.Options{MinBackoff: time.Second, MaxBackoff: 4 * time.Second, Logger: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, h *worker.Host, name string, f worker.Func) {
	t.Helper()
	if err := h.Start(name, f); err != nil {
		t.Fatalf("Start: %v", err)
	}
}

func stop(t *testing.T, h *worker.Host) {
	t.Helper()
	if err := h.Stop(context.Background()); err != nil {
		t.Fatalf("Stop: %v", err)
	}
}

func TestStopCancelsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := worker.NewHost(quiet())
		var cause error
		ended := false
		start(t, h, "slow", func(ctx context.Context) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Minute) // the bubble's clock: a service that takes its time to end
			ended = true
			return ctx.Err()
		})
		stop(t, h)
		if !ended {
			t.Error("Stop returned before the service ended")
		}
		if !errors.Is(cause, worker.ErrStopped) {
			t.Errorf("cause = %v, want ErrStopped", cause)
		}
		if err := h.Start("late", worker.Func(func(context.Context) error { return nil })); !errors.Is(err, worker.ErrStopped) {
			t.Errorf("Start after Stop = %v, want ErrStopped", err)
		}
	})
}

func TestStopNamesWhatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := worker.NewHost(quiet())
		release := make(chan struct{})
		start(t, h, "deaf", func(context.Context) error { <-release; return nil })
		start(t, h, "good", func(ctx context.Context) error { <-ctx.Done(); return nil })

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := h.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still running: deaf:") {
			t.Errorf("Stop = %v", err)
		}
		close(release)
		stop(t, h)
	})
}

func TestFailuresAreRestartedWithBackoff(t *testing.T) {
	failures := map[string]worker.Func{
		"error": func(context.Context) error { return errors.New("no") },
		"panic": func(context.Context) error { panic("no") },
		"exit":  func(context.Context) error { runtime.Goexit(); return nil },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := worker.NewHost(quiet())
				began := time.Now()
				var starts []time.Duration
				start(t, h, "failing", func(ctx context.Context) error {
					starts = append(starts, time.Since(began))
					return fail(ctx)
				})
				time.Sleep(12 * time.Second) // the bubble's clock
				synctest.Wait()
				want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 11 * time.Second}
				if !slices.Equal(starts, want) {
					t.Errorf("starts = %v, want %v", starts, want)
				}
				stop(t, h)
			})
		})
	}
}

func TestBackoffStartsAgainAfterRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := worker.NewHost(quiet())
		began := time.Now()
		var starts []time.Duration
		start(t, h, "flaky", func(context.Context) error {
			starts = append(starts, time.Since(began))
			if len(starts) == 3 {
				time.Sleep(10 * time.Second) // the bubble's clock: longer than MaxBackoff
			}
			return errors.New("no")
		})
		time.Sleep(15 * time.Second) // the bubble's clock
		synctest.Wait()
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 14 * time.Second}
		if !slices.Equal(starts, want) {
			t.Errorf("starts = %v, want %v", starts, want)
		}
		stop(t, h)
	})
}

func TestFinishedServiceIsNotRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := worker.NewHost(quiet())
		runs := 0
		start(t, h, "once", func(context.Context) error { runs++; return nil })
		time.Sleep(time.Hour) // the bubble's clock
		synctest.Wait()
		if runs != 1 {
			t.Errorf("ran %d times, want once", runs)
		}
		stop(t, h)
	})
}

func TestPanicIsLoggedWithItsStack(t *testing.T) {
	var log strings.Builder
	synctest.Test(t, func(t *testing.T) {
		o := quiet()
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		h := worker.NewHost(o)
		start(t, h, "falling", func(context.Context) error { panic("over the edge") })
		synctest.Wait()
		stop(t, h)
	})
	for _, want := range []string{`"service":"falling"`, "over the edge", "host_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q: %s", want, log.String())
		}
	}
}
