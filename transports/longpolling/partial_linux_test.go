package longpolling_test

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/carillon-go/carillon/transports"
)

// When a client leaves before it has read what the socket did not take at once, the next poll
// gets it.
func TestPartial(t *testing.T) {
	s := newSite(t, transports.Options{}, buffering(1))
	c, p := s.open()
	await(t, s.served)
	_ = p.conn.Close()
	p = s.dialBy(&net.Dialer{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		return conn.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) })
	}}, c)
	p.expectAgain(c, strings.Repeat("x", 30_000))
}
