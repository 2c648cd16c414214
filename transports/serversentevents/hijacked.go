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
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/poller"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// hijack takes the connection of an HTTP/1.1 request from the HTTP server, because an idle
// stream would hold the server's buffers and stack. It fails under HTTP/2, with a writer that
// does not support Hijack, and before the body of the request is read.
func hijack(w http.ResponseWriter, r *http.Request, c *connection.Connection) (net.Conn, bool) {
	if !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || r.ContentLength != 0 {
		return nil, false
	}
	conn, _, err := c.Hijack(w)
	return conn, err == nil
}

// chunked frames events as chunks of the body.
var chunked = &socket.Framing{
	Append: (*frame.Frame).AppendEventStreamChunk,
	Whole:  (*frame.Frame).EventStreamChunk,
}

// serveHijacked carries c over conn. It returns after the beginning of the stream.
func serveHijacked(conn net.Conn, header http.Header, r *http.Request, c *connection.Connection, p *poller.Poller) {
	s := socket.New(p, c, connection.Resumption(r), conn, nil, chunked)
	stop := context.AfterFunc(c.Cutting(), func() { _ = conn.Close() })
	err := s.Write(preface(header), false)
	stop()
	if err != nil {
		_ = conn.Close()
		c.Abandon(connection.WriteCause(err))
		return
	}
	s.Await(holdTimeout(c))
	s.Serve(&discardReader{s: s, c: c, begun: time.Now()})
}

// preface returns the beginning of the answer, up to the prelude, which makes EventSource
// fire open. The answer states that the connection closes after the stream: a client or a
// proxy that reuses connections must not send another request on this one.
func preface(header http.Header) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	if header.Get("Date") == "" {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	header.Set("Connection", "close")
	header.Set("Transfer-Encoding", "chunked")
	header.Set("Content-Encoding", "identity") // the writer of a middleware that compresses is not used
	_ = header.Write(&b)                       // a strings.Builder never fails
	b.WriteString("\r\n3\r\n" + connection.Prelude + "\r\n")
	return []byte(b.String())
}

// discardReader waits until the client closes the connection, and discards its data. The
// first wait is limited by the hold time-out.
type discardReader struct {
	s     *socket.Socket
	c     *connection.Connection
	begun time.Time
	limit atomic.Pointer[time.Timer] // limits the wait for the client after the end; nil: the stream has not ended
}

// closeGrace is the time in which a client can read the end of its stream and close the
// network connection. Its other requests wait for that: the .NET client discards the last
// messages and reconnects if a concurrent POST is answered 404.
const closeGrace = time.Second

// readGrace is how long requests still wait after the client has closed the network
// connection. The .NET client closes it before it looks at the last messages.
const readGrace = 100 * time.Millisecond

// Last implements socket.Protocol. It ends the body and closes the writing side, because no
// other request will be answered on this connection. The connection ends when the client
// closes it, or after closeGrace.
func (d *discardReader) Last() {
	if d.s.Write([]byte("0\r\n\r\n"), true) != nil || !d.s.CloseWrite() {
		d.s.Cut(nil)
		return
	}
	d.limit.Store(time.AfterFunc(closeGrace, func() { d.s.Cut(nil) }))
}

// Take implements socket.Protocol.
func (d *discardReader) Take(_ []byte, _ bool, err error) (rest []byte, cause error) {
	limit := d.limit.Load()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if limit == nil {
			cause = checkHold(d.c)
		}
		if cause != nil {
			d.s.Reset()
			return nil, cause
		}
		d.s.Await(0)
		return nil, nil
	case err != nil:
		if limit != nil && limit.Stop() {
			d.awaitReading()
		}
		silence, _ := d.s.Silence()
		return nil, clientLeft(d.c, d.begun, silence)
	}
	return nil, nil
}

// awaitReading waits for readGrace, or until the registry cuts its connections.
func (d *discardReader) awaitReading() {
	timer := time.NewTimer(readGrace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.c.Cutting().Done():
	}
}
