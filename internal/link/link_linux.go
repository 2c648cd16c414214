package link

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Silence is how long nothing has moved on conn, which may be over, in either direction. ok is
// false where that is not known. The kernel keeps count, so that writing costs nothing more.
func Silence(conn net.Conn) (d time.Duration, ok bool) {
	info, ok := tcpInfo(conn)
	if !ok {
		return 0, false
	}
	return time.Duration(min(info.Last_data_sent, info.Last_data_recv)) * time.Millisecond, true
}

// OnTheWay reports whether something was written to conn that the system of its peer has not
// acknowledged. ok is false where that is not known.
func OnTheWay(conn net.Conn) (is, ok bool) {
	info, ok := tcpInfo(conn)
	return ok && (info.Unacked > 0 || info.Notsent_bytes > 0), ok
}

func tcpInfo(conn net.Conn) (info *unix.TCPInfo, ok bool) {
	var err error
	ok = control(conn, func(fd int) { info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO) })
	return info, ok && err == nil
}

// LimitUnacknowledged makes the kernel end conn if its peer acknowledges no data for d, or does
// not answer TCP's keep-alives for as long, because the link is down. By default the kernel sends
// again for a quarter of an hour. It does nothing if conn is not a socket.
func LimitUnacknowledged(conn net.Conn, d time.Duration) {
	control(conn, func(fd int) {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

// control calls f with the descriptor of conn's socket, and reports whether it did.
func control(conn net.Conn, f func(fd int)) bool {
	if secure, isTLS := conn.(*tls.Conn); isTLS {
		conn = secure.NetConn()
	}
	socket, isSocket := conn.(syscall.Conn)
	if !isSocket {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) }) == nil
}
