package link

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel is told of the limit for each connection that is accepted.
func TestListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listener(inner, 40*time.Second)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var limit int
	if !control(conn, func(fd int) { limit, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }) || err != nil || limit != 40_000 {
		t.Errorf("%d ms, %v", limit, err)
	}
}
