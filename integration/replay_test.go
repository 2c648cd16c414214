package integration_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/transports"
)

const (
	replayMessages = 60
	// replayed is how many bytes of the replay of 1 KiB messages pass before it stands still.
	replayed = 8 << 10
)

// TestOfficialClientBreaksDuringAReplay: the socket of the official JavaScript client breaks behind a burst, and again in
// the middle of the replay, right behind the acknowledgement of the whole burst that the client sends by its timer.
func TestOfficialClientBreaksDuringAReplay(t *testing.T) {
	t.Parallel()
	p := &replayProxy{cut: make(chan struct{})}
	h := hub.New(hub.Options{})
	h.Handle("Burst", hub.Action1(func(ctx context.Context, n int) error {
		for i := range n {
			if err := h.Clients().Caller(ctx).Send(ctx, "Item", i, strings.Repeat("x", 1<<10)); err != nil {
				return err
			}
		}
		return nil
	}))
	h.Handle("Break", hub.Action0(func(context.Context) error { close(p.cut); return nil }))
	h.Handle("Broken", hub.Func0(func(context.Context) (int, error) { return int(p.breaks.Load()), nil }))
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{AllowStatefulReconnect: true}})
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	url := p.serve(t, strings.TrimPrefix(server.URL, "http://"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := clients.Node(ctx, t, "replay.js", "URL="+url, "MESSAGES="+strconv.Itoa(replayMessages))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// replayProxy breaks the first two WebSockets that go through it.
type replayProxy struct {
	target  string
	cut     chan struct{} // closed: the first one is to break
	sockets atomic.Int32
	breaks  atomic.Int32
	work    sync.WaitGroup
}

func (p *replayProxy) serve(t *testing.T, target string) (url string) {
	t.Helper()
	p.target = target
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.work.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { p.relay(down) })
		}
	})
	t.Cleanup(p.work.Wait) // when both ends have ended
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

// relay relays a connection; of a WebSocket it relays only so much.
func (p *replayProxy) relay(down net.Conn) {
	defer down.Close()
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer up.Close()
	head := make([]byte, 4<<10)
	n, _ := down.Read(head)
	_, _ = up.Write(head[:n])
	var broken sync.WaitGroup
	defer broken.Wait()
	from := io.Reader(up)
	if bytes.Contains(head[:n], []byte("Upgrade: websocket")) {
		switch p.sockets.Add(1) {
		case 1:
			broken.Go(func() {
				<-p.cut
				p.breaks.Add(1)
				down.Close()
				up.Close()
			})
		case 2:
			from = io.LimitReader(up, replayed)
		}
	}
	broken.Go(func() { _, _ = io.Copy(down, from) })
	p.relayUp(down, up, from != io.Reader(up))
}

// relayUp relays what the client sends; if until is true only to the end of its first acknowledgement.
func (p *replayProxy) relayUp(down, up net.Conn, until bool) {
	defer up.(*net.TCPConn).CloseWrite()
	var sent []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := down.Read(buf)
		_, _ = up.Write(buf[:n])
		sent = append(sent, buf[:n]...)
		if until && acknowledges(sent) {
			p.breaks.Add(1)
			down.Close()
			return
		}
		if err != nil {
			return
		}
	}
}

// acknowledges reports whether there is an acknowledgement among short frames of a client.
func acknowledges(frames []byte) bool {
	for len(frames) > 6 && len(frames) >= 6+int(frames[1]&0x7f) {
		mask, payload := frames[2:6], bytes.Clone(frames[6:6+int(frames[1]&0x7f)])
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
		if bytes.Contains(payload, []byte(`"type":8`)) {
			return true
		}
		frames = frames[6+len(payload):]
	}
	return false
}
