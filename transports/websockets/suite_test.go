package websockets_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/transporttest"
	"github.com/carillon-go/carillon/transports/websockets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	transporttest.Run(t, transports.WebSockets, websockets.Carry)
}
