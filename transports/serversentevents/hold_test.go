package serversentevents

import (
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
)

// notes are what an observer was told.
type notes []transports.EventKind

func (n *notes) Observe(e transports.Event) { *n = append(*n, e.Kind) }

// A client that leaves and has posted nothing was held back only where it would have posted,
// and only if it left by itself.
func TestLeftWithoutAWord(t *testing.T) {
	for name, test := range map[string]struct {
		timeout time.Duration
		closed  bool
		held    bool
	}{
		"left":               {timeout: time.Minute, held: true},
		"was closed":         {timeout: time.Minute, closed: true},
		"may say nothing":    {},
		"may, and is closed": {closed: true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := connection.NewRegistry(nil, transports.Options{HoldTimeout: test.timeout})
			var told notes
			n := connectiontest.Promise(t, registry, &told)
			c := registry.Find(n.Token())
			if test.closed {
				c.Close(transports.ErrShutdown)
			}
			_ = clientLeft(c, time.Now().Add(-time.Hour), 0)
			if held := len(told) > 0; held != test.held {
				t.Errorf("the observer was told %v", told)
			}
		})
	}
}
