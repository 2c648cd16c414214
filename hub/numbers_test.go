package hub_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/hub"
)

func ackOf(n int64) string      { return fmt.Sprintf(`{"type":8,"sequenceId":%d}`, n) }
func sequenceOf(n int64) string { return fmt.Sprintf(`{"type":9,"sequenceId":%d}`, n) }

// The numbers of messages are as large as the client likes.
var extremes = []int64{
	math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 2, math.MinInt32 - 1, math.MinInt32, -1 << 32, -1<<32 + 1, -1<<32 + 2, -1<<32 + 3, -1, 0,
	math.MaxInt32 + 1, 1 << 32, 1<<32 + 1, 1<<32 + 2, math.MaxInt64 - 1, math.MaxInt64,
}

// An acknowledgement of what was never sent, or long ago, lets go nothing that the client has not received.
func TestStatefulExtremeAcknowledgements(t *testing.T) {
	for _, n := range extremes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := connectStateful(t, newLab(hub.Options{KeepAliveInterval: -1}))
				c.send(call("1", "Text", `"a"`), call("2", "Text", `"b"`), call("3", "Text", `"c"`))
				c.want(result("1", `"a"`), result("2", `"b"`), result("3", `"c"`))
				c.send(ackOf(1), ackOf(n))
				synctest.Wait()
				c.reconnect()
				if n > 0 { // all that there is
					c.want(sequence(4), ack(3))
				} else {
					c.want(sequence(2), ack(3), result("2", `"b"`), result("3", `"c"`))
				}
				c.send(sequence(4), call("4", "Text", `"d"`))
				c.want(result("4", `"d"`))
			})
		})
	}
}

// A sequence number that no message has ends the connection: all that follows would be taken for duplicates.
func TestStatefulExtremeSequences(t *testing.T) {
	for _, n := range extremes {
		if n == 0 {
			continue // the original takes it, and so do we
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := connectStateful(t, newLab(hub.Options{DetailedErrors: true, KeepAliveInterval: -1}))
			c.send(call("1", "Text", `"a"`))
			c.want(result("1", `"a"`))
			c.send(sequenceOf(n), call("2", "Text", `"b"`))
			if n < 1 {
				c.want(fatal(" InvalidOperationException: Sequence ID less than 0."))
			} else {
				c.want(fatal(" InvalidOperationException: Sequence ID greater than amount of messages we've received."))
			}
			c.wantEnd()
		})
	}
}
