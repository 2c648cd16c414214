package socket

import (
	"crypto/tls"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Silence is how long nothing has moved on the connection, which may be over, in either
// direction. ok is false where that is not known. The kernel keeps count, so that writing
// costs nothing more.
func (s *Socket) Silence() (d time.Duration, ok bool) {
	conn := s.conn.Conn
	if secure, isTLS := conn.(*tls.Conn); isTLS {
		conn = secure.NetConn()
	}
	tcp, isSocket := conn.(syscall.Conn)
	if !isSocket {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}) != nil || err != nil {
		return 0, false
	}
	return time.Duration(min(info.Last_data_sent, info.Last_data_recv)) * time.Millisecond, true
}
