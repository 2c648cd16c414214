//go:build unix

package poller

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/forwarded"
	"github.com/carillon-go/carillon/internal/link"
)

// A connection that began with a header of the PROXY protocol is read and written with
// single system calls, as others are, and has the client's address.
func TestBehindProxyProtocol(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "PROXY TCP4 192.0.2.1 10.0.0.1 77 80\r\nto the server"); err != nil {
		t.Fatal(err)
	}
	accepted, err := forwarded.Listen(inner, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if got := accepted.RemoteAddr().String(); got != "192.0.2.1:77" {
		t.Error(got)
	}
	var conn Conn
	conn.Init(New(new(sync.WaitGroup)), accepted, nil)
	if !conn.IsSocket() {
		t.Fatal("it is not taken for a socket")
	}
	if _, ok := link.Silence(accepted); !ok && runtime.GOOS == "linux" {
		t.Error("its silence is not known")
	}
	if got, _, err := conn.Next(); err != nil || string(got) != "to the server" {
		t.Errorf("%q, %v", got, err)
	}
	conn.Keep(nil)
	answer := "to the client"
	if n := conn.TryWrite([]byte(answer)); n != len(answer) {
		t.Errorf("%d bytes were written", n)
	}
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != answer {
		t.Errorf("%q, %v", got, err)
	}
}
