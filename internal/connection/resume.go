package connection

import (
	"net/http"
	"strconv"

	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/transports"
)

// Resumption returns how often the client of a stateful connection has resumed it, as a
// request states. Over event streams and long polling a carrier consists of many requests.
// This number in each of them states the carrier to which it belongs, so that late requests
// of an older carrier are refused. It also refuses a late handshake of an older WebSocket.
// The official clients send no number, which counts as 0, as does everything that is not a
// number below 2^31.
func Resumption(r *http.Request) int {
	return int(max(0, number(r, "carillonResume", 32)))
}

// received returns how many messages the client has received, as a request to resume states,
// or 0 if it does not. The official clients do not send it.
func received(r *http.Request) int64 { return number(r, "carillonReceived", 64) }

// number returns the number in a query parameter, or 0 if there is none or it does not fit in
// the bits of a signed integer.
func number(r *http.Request, name string, bits int) int64 {
	value, given := httpreq.Parameter(r, name)
	if given == 0 {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, bits)
	if err != nil {
		return 0
	}
	return n
}

// takeOverLocked makes number the current resumption, if a request may replace the older
// ones. It cuts an unfinished body of an older POST, so that newer POSTs need not wait for it.
func (c *Connection) takeOverLocked(number int) error {
	switch {
	case !c.resumable, number <= c.resumption && (number > 0 || c.kind != transports.WebSockets):
		return ErrActive
	case c.isClosing():
		return transports.ErrEnded
	}
	c.resumption = number
	c.body.cut()
	return nil
}
