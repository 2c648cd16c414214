package longpolling_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/longpolling"
	"github.com/carillon-go/carillon/transports/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	t.Run("outside of the HTTP server", func(t *testing.T) { transporttest.Run(t, transports.LongPolling, longpolling.Carry) })
	t.Run("within the HTTP server", func(t *testing.T) {
		transporttest.Run(t, transports.LongPolling, longpolling.Carry, func(o *transports.Options) { o.KeepPollsInServer = true })
	})
}
