package serversentevents_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/serversentevents"
	"github.com/carillon-go/carillon/transports/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	transporttest.Run(t, transports.ServerSentEvents, func(*transports.Registry) transports.Carry { return serversentevents.Serve })
}
