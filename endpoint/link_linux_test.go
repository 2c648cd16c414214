package endpoint_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// linkIsOurs tells the test's second process that it has a network of its own.
const linkIsOurs = "CARILLON_TEST_LINK_IS_OURS"

// Clients whose link goes down say nothing, and those that never had to say anything would be
// kept for as long as TCP tries to reach them. It takes a network of its own, in a process of
// its own, to try this.
func TestLinkGoesDown(t *testing.T) {
	if os.Getenv(linkIsOurs) != "" {
		testLinkGoesDown(t)
		return
	}
	t.Parallel()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLinkGoesDown$", "-test.v", "-test.timeout=1m")
	child.Env = append(os.Environ(), linkIsOurs+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &failed):
		t.Skip("no network namespace can be had here:", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
}

// setLink takes the loopback network of the process up or down.
func setLink(t *testing.T, state string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
		t.Skipf("the link cannot be set %s: %v %s", state, err, out)
	}
}

func testLinkGoesDown(t *testing.T) {
	setLink(t, "up")
	called := make(chan struct{}, 10)
	h := hub.New(hub.Options{KeepAliveInterval: 100 * time.Millisecond, ClientTimeout: time.Hour})
	h.OnConnected(func(context.Context) error { called <- struct{}{}; return nil })
	e := endpoint.New(h, endpoint.Options{
		Options: transports.Options{SendTimeout: 100 * time.Millisecond, DisconnectTimeout: 100 * time.Millisecond},
		Events:  endpoint.Events{Enabled: true},
	})
	server := httptest.NewUnstartedServer(e)
	listening := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}}
	l, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = l
	server.Start()
	defer server.Close()

	const handshake = `{"protocol":"json","version":1}` + "\x1e"
	conn, _ := raw(t, server, "GET /hub HTTP/1.1\r\nHost: x\r\n"+webSocketHeaders+"\r\n")
	if _, err := conn.Write(append([]byte{0x81, 0x80 | byte(len(handshake)), 0, 0, 0, 0}, handshake...)); err != nil {
		t.Fatal(err)
	}
	<-called
	raw(t, server, "GET /hub/events HTTP/1.1\r\nHost: x\r\n\r\n")
	<-called
	url := open(t, server.URL+"/echo")
	takeStep(t, server, url, "GET {}", "")
	post(t, url, handshake)
	<-called
	takeStep(t, server, url, "GET {}", "") // the handshake's answer
	raw(t, server, "GET "+path(url)+" HTTP/1.1\r\nHost: x\r\n\r\n")
	http.DefaultClient.CloseIdleConnections()
	if n := e.Connections(); n != 3 {
		t.Fatalf("%d connections", n)
	}
	setLink(t, "down")
	awaitConnections(e, 0)
}
