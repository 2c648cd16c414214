package serversentevents_test

import (
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/serversentevents"
	"github.com/carillon-go/carillon/transports/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	t.Run("HTTP/1.1", func(t *testing.T) { transporttest.Run(t, transports.ServerSentEvents, serversentevents.Carry) })
	t.Run("within the HTTP server", func(t *testing.T) { transporttest.Run(t, transports.ServerSentEvents, carryWithin) })
}

// carryWithin gives the carrier a connection that cannot be hijacked.
func carryWithin(r *connection.Registry) connection.Carry {
	carry := serversentevents.Carry(r)
	return func(w http.ResponseWriter, r *http.Request, c *connection.Connection) { carry(kept{w}, r, c) }
}

// kept is a response whose connection cannot be hijacked.
type kept struct{ http.ResponseWriter }

func (k kept) Flush() { _ = http.NewResponseController(k.ResponseWriter).Flush() }
func (k kept) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(k.ResponseWriter).SetWriteDeadline(t)
}

func (k kept) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(k.ResponseWriter).SetReadDeadline(t)
}
