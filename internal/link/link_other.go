//go:build !linux

package link

import (
	"net"
	"time"
)

// Silence is how long nothing has moved on conn in either direction. ok is false where that is
// not known, as here.
func Silence(net.Conn) (d time.Duration, ok bool) { return 0, false }

// OnTheWay reports whether something was written to conn that the system of its peer has not
// acknowledged. ok is false where that is not known, as here.
func OnTheWay(net.Conn) (is, ok bool) { return false, false }

// LimitUnacknowledged does nothing here: the system decides how long it sends to a peer that
// acknowledges nothing.
func LimitUnacknowledged(net.Conn, time.Duration) {}
