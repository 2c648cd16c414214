package longpolling

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// poll is a poll that waits outside of the HTTP server. The goroutine that claims it must
// answer it.
type poll struct {
	line  *line
	c     *connection.Connection
	begun time.Time
}

// directLimit is the longest body that the sender of a message writes itself.
const directLimit = 32 << 10

// TryAnswer implements transports.OnceCarrier.
func (p *poll) TryAnswer(frames []*frame.Frame) bool {
	n := length(frames)
	if n > directLimit {
		return false
	}
	b := batches.Get().(*batch)
	defer b.giveBack()
	l := p.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poll != p {
		return false
	}
	b.bytes = appendBody(l.appendHead(b.bytes[:0], dataHead, n), frames)
	written := l.conn.TryWrite(b.bytes)
	switch written {
	case 0:
		return false
	case len(b.bytes):
		l.restLocked()
	default:
		l.poll, l.busy = nil, true
		rest, all := slices.Clone(b.bytes[written:]), slices.Clone(frames)
		l.conn.Running().Go(func() {
			if p.send(rest) != nil {
				p.c.PutBack(p, all)
			}
		})
	}
	return true
}

// Wake implements transports.Carrier.
func (p *poll) Wake() { p.line.conn.Running().Go(p.deliver) }

// deliver answers with the queue in one body.
func (p *poll) deliver() {
	l := p.line
	if !l.claim(p) {
		return
	}
	b := batches.Get().(*batch)
	defer b.giveBack()
	outcome := b.gather(p.c, p)
	if len(b.frames) == 0 {
		if outcome == connection.Finished {
			p.c.Finish(transports.ErrApplication)
		}
		p.c.Detach(p, nil)
		_ = p.send(l.appendHead(nil, noHead, -1))
		return
	}
	b.bytes = l.appendHead(b.bytes[:0], dataHead, length(b.frames))
	if err := p.sendBy(b.writeTo); err != nil {
		p.c.PutBack(p, b.frames)
	}
	p.c.Detach(p, nil)
}

// Cut implements transports.Carrier. A newer poll has arrived, or the connection has ended.
func (p *poll) Cut(error) {
	if p.line.claim(p) {
		p.line.conn.Running().Go(func() { _ = p.send(p.line.appendHead(nil, noHead, -1)) })
	}
}

// expire answers with an empty body at the end of the poll's time.
func (p *poll) expire() {
	if p.line.claim(p) {
		p.c.Detach(p, nil)
		_ = p.send(p.line.appendHead(nil, emptyHead, 0))
	}
}

// gone ends the poll because the client has left.
func (p *poll) gone() {
	if p.line.claim(p) {
		p.c.CutAfter(time.Since(p.begun))
		p.c.Detach(p, nil)
		p.line.release()
	}
}

// send writes the answer to a claimed poll.
func (p *poll) send(b []byte) error {
	return p.sendBy(func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// sendBy calls write to write the answer to a claimed poll.
func (p *poll) sendBy(write func(io.Writer) error) error {
	l := p.line
	defer l.release()
	_ = l.conn.SetWriteDeadline(time.Now().Add(p.c.Options().SendTimeout))
	if err := write(&l.conn); err != nil {
		_ = l.conn.Close()
		return err
	}
	_ = l.conn.SetWriteDeadline(time.Time{}) // the client may have left after receiving its answer
	return nil
}

const (
	dataHead  = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
	emptyHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	noHead    = "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n"
)

// appendHead appends the head of an answer with a body of n bytes, or without a body if n is
// negative.
func (l *line) appendHead(b []byte, begin string, n int) []byte {
	b = append(append(b, begin...), l.header...)
	if n >= 0 {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(n), 10), "\r\n"...)
	}
	if l.server.closing.Load() {
		b = append(b, "Connection: close\r\n"...)
	}
	b = time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat)
	return append(b, "\r\n\r\n"...)
}
