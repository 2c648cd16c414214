// Package link asks the operating system about the link of a network connection, and sets the
// time after which the system ends a connection with a dead link.
package link

import (
	"net"
	"time"
)

// Listener limits by LimitUnacknowledged the connections that l accepts.
func Listener(l net.Listener, d time.Duration) net.Listener { return limited{l, d} }

type limited struct {
	net.Listener
	limit time.Duration
}

// Accept implements net.Listener.
func (l limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		LimitUnacknowledged(conn, l.limit)
	}
	return conn, err
}
