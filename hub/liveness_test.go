package hub

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPingsAreDueAtTheInterval(t *testing.T) {
	var l liveness
	for _, step := range []struct {
		age time.Duration // in seconds
		due bool
	}{{14, false}, {16, true}, {29, false}, {30, true}, {44, false}, {100, true}, {114, false}, {115, true}} {
		if due := l.isPingDue(step.age*time.Second, 15*time.Second); due != step.due {
			t.Errorf("after %d s: %v", step.age, due)
		}
	}
}

func TestOnlyWatchedClientsAreSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l liveness
		begun := time.Now()
		silent := func() bool { return l.isSilent(time.Since(begun), 30*time.Second) }
		time.Sleep(time.Minute) // the clock of the bubble
		if silent() {
			t.Error("a client that has never sent a ping is silent")
		}
		l.pinged()
		l.setBusy(true, begun)
		if silent() {
			t.Error("a client whose data is being handled is silent")
		}
		l.setBusy(false, begun)
		time.Sleep(30 * time.Second) // the clock of the bubble
		if silent() {
			t.Error("silent at the time-out")
		}
		time.Sleep(time.Second) // the clock of the bubble
		if !silent() {
			t.Error("not silent after the time-out")
		}
		if l.isSilent(time.Since(begun), -1) {
			t.Error("silent without a time-out")
		}
	})
}
