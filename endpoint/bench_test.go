package endpoint_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// crowd keeps its connections and drops what they send.
type crowd struct{ came chan transports.Connection }

func newCrowd(n int) *crowd { return &crowd{make(chan transports.Connection, n)} }

func (a *crowd) Connect(c transports.Connection) (transports.Receiver, error) {
	a.came <- c
	return silent{}, nil
}

// members returns all connections. A client reads the answer to its request before its
// connection is here, so it waits for them.
func (a *crowd) members() []transports.Connection {
	all := make([]transports.Connection, cap(a.came))
	for i := range all {
		all[i] = <-a.came
	}
	return all
}

type silent struct{}

func (silent) Receive([]byte) error { return nil }
func (silent) Disconnected(error)   {}

// The requests that open a stream of each kind without allocating anything in the
// client afterwards.
const (
	upgradeRequest = "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	streamRequest = "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
)

// benchServer is an endpoint with n connections open by a request.
func benchServer(b *testing.B, e *endpoint.Endpoint, n int, request string) []net.Conn {
	b.Helper()
	server := httptest.NewServer(e)
	conns := make([]net.Conn, n)
	for i := range conns {
		path := "/echo"
		if request == streamRequest {
			url := open(b, server.URL+path)
			path += url[len(server.URL+path):]
		}
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, request, path); err != nil {
			b.Fatal(err)
		}
		end := "\r\n\r\n"
		if request == streamRequest {
			end = "3\r\n:\r\n\r\n" // the prelude, chunked
		}
		readUntil(b, conn, end)
		conns[i] = conn
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx)
		for _, c := range conns {
			_ = c.Close()
		}
		server.Close()
	})
	return conns
}

func readUntil(b *testing.B, conn net.Conn, end string) {
	b.Helper()
	var got []byte
	for buf := make([]byte, 1); !strings.HasSuffix(string(got), end); {
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
		got = append(got, buf[0])
	}
}

// One message to many connections: per delivered message the whole process, its
// clients included.
func BenchmarkBroadcast(b *testing.B) {
	const n = 500
	payload := `{"type":1,"target":"ShowTime","arguments":["2026-01-01T00:00:00Z"]}` + "\x1e"
	for name, c := range map[string]struct {
		request string
		size    int
	}{
		"WebSockets":       {upgradeRequest, len(frame.New([]byte(payload), false).WebSocket())},
		"ServerSentEvents": {streamRequest, len(frame.New([]byte(payload), false).EventStreamChunk())},
	} {
		b.Run(name, func(b *testing.B) {
			app := newCrowd(n)
			conns := benchServer(b, endpoint.NewRaw(app, endpoint.Options{}), n, c.request)
			members := app.members()
			var delivered, all sync.WaitGroup
			defer all.Wait()
			for _, conn := range conns {
				all.Go(func() {
					for buf := make([]byte, c.size); ; {
						if _, err := io.ReadFull(conn, buf); err != nil {
							return
						}
						delivered.Done()
					}
				})
			}
			for b.Loop() {
				delivered.Add(n)
				f := frame.New([]byte(payload), false)
				for _, m := range members {
					if err := m.Send(f); err != nil {
						b.Fatal(err)
					}
				}
				delivered.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
			for _, conn := range conns {
				_ = conn.Close()
			}
		})
	}
}

// What a connection holds while nothing happens, the client's socket included.
func BenchmarkIdle(b *testing.B) {
	const n = 1000
	raw := func() *endpoint.Endpoint { return endpoint.NewRaw(newCrowd(n), endpoint.Options{}) }
	inHub := func() *endpoint.Endpoint { return endpoint.New(hub.New(hub.Options{}), endpoint.Options{}) }
	for name, c := range map[string]struct {
		make    func() *endpoint.Endpoint
		request string
	}{
		"WebSockets":           {raw, upgradeRequest},
		"WebSockets in a hub":  {inHub, upgradeRequest},
		"ServerSentEvents":     {raw, streamRequest},
		"negotiated, in a hub": {inHub, ""},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				e := c.make()
				before := held()
				var conns []net.Conn
				if c.request == "" {
					server := httptest.NewServer(e)
					for range n {
						open(b, server.URL+"/echo")
					}
					server.Close()
				} else {
					conns = benchServer(b, e, n, c.request)
				}
				for _, conn := range conns {
					if c.request == upgradeRequest && strings.Contains(name, "hub") {
						_, _ = conn.Write(maskedHandshake)
						readUntil(b, conn, "{}\x1e")
					}
				}
				b.ReportMetric(float64(held()-before)/n, "B/connection")
				runtime.KeepAlive(conns)
			}
		})
	}
}

// maskedHandshake is the hub's handshake as a client's text frame, masked with zeros.
var maskedHandshake = append([]byte{0x81, 0x80 | byte(len(handshake)), 0, 0, 0, 0}, handshake...)

const handshake = `{"protocol":"json","version":1}` + "\x1e"

// held is what the heap and the stacks take after a collection.
func held() int {
	time.Sleep(200 * time.Millisecond) // stacks shrink and requests end without an event
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
