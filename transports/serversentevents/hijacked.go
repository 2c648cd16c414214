package serversentevents

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// hijack takes the connection of a request under HTTP/1.1 from the server, whose
// buffers and stack an idle stream would hold. It cannot be had under HTTP/2, from a
// writer that does not give it, or before the body of the request is read.
func hijack(w http.ResponseWriter, r *http.Request) (net.Conn, bool) {
	if !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || r.ContentLength != 0 {
		return nil, false
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	return conn, err == nil
}

// chunked frames events as chunks of the body.
var chunked = &socket.Framing{
	Append: (*frame.Frame).AppendEventStreamChunk,
	Whole:  (*frame.Frame).EventStreamChunk,
}

// serveHijacked carries c over conn. It returns when the stream is begun.
func serveHijacked(conn net.Conn, header http.Header, r *http.Request, c *transports.Connection, watch *socket.Watch) {
	s := socket.New(c, transports.Resumption(r), conn, nil, chunked, watch)
	stop := context.AfterFunc(c.Cutting(), func() { _ = conn.Close() })
	err := s.Write(preface(header), false)
	stop()
	if err != nil {
		_ = conn.Close()
		c.Lost(transports.WriteCause(err))
		return
	}
	s.Await(holdTimeout(c))
	s.Serve(&deaf{s: s, c: c, begun: time.Now()})
}

// preface is the answer up to the prelude, which makes EventSource fire open. It says that the
// connection ends with the stream: a client or a proxy that keeps connections for further
// requests must not send one here.
func preface(header http.Header) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	if header.Get("Date") == "" {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	header.Set("Connection", "close")
	header.Set("Transfer-Encoding", "chunked")
	_ = header.Write(&b) // a builder takes everything
	b.WriteString("\r\n3\r\n" + transports.Prelude + "\r\n")
	return []byte(b.String())
}

// deaf waits for the client to leave. What it sends is nothing to us. The first wait
// is as long as the hold time-out.
type deaf struct {
	s     *socket.Socket
	c     *transports.Connection
	begun time.Time
	limit atomic.Pointer[time.Timer] // of the wait for the client behind the end; nil: there is none
}

// farewell is how long a client gets to read the end of its stream and to close the network
// connection. So long its POSTs are answered 200: the .NET client drops the last words it has
// read, and reconnects, when one that it sends beside them is answered 404.
const farewell = time.Second

// Last implements socket.Protocol: it ends the body, and what is sent, for another request
// will not be answered here. The client's end of the network connection, or farewell, ends
// the connection.
func (d *deaf) Last() {
	if d.s.Write([]byte("0\r\n\r\n"), true) != nil || !d.s.CloseWrite() {
		d.s.Cut(nil)
		return
	}
	d.limit.Store(time.AfterFunc(farewell, func() { d.s.Cut(nil) }))
}

// Take implements socket.Protocol.
func (d *deaf) Take(_ []byte, _ bool, err error) (rest []byte, cause error) {
	limit := d.limit.Load()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if limit == nil {
			cause = answered(d.c)
		}
		if cause != nil {
			d.s.Reset()
			return nil, cause
		}
		d.s.Await(0)
		return nil, nil
	case err != nil:
		if limit != nil {
			limit.Stop()
		}
		silence, _ := d.s.Silence()
		return nil, left(d.c, d.begun, silence)
	}
	return nil, nil
}
