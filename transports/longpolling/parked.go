package longpolling

import (
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports/internal/socket"
	"github.com/carillon-go/carillon/transports/longpolling/internal/reentry"
)

// parkedPoll is a poll that waits outside of the HTTP server.
type parkedPoll struct {
	conn  *reentry.Conn
	c     *connection.Connection
	begun time.Time
}

// directLimit is the longest body that the sender of a message writes itself.
const directLimit = 32 << 10

// TryAnswer implements connection.OnceCarrier.
func (p *parkedPoll) TryAnswer(frames []*frame.Frame) (answered, sent bool) {
	n := length(frames)
	if n > directLimit {
		return false, false
	}
	b := batch{socket.NewBatch()}
	defer b.GiveBack()
	b.Bytes = p.conn.AppendHead(b.Bytes, dataHead, n)
	for _, f := range frames {
		b.Bytes = framing.Append(f, b.Bytes)
	}
	written := p.conn.TryAnswer(p, b.Bytes)
	if sent = written == len(b.Bytes); written > 0 && !sent {
		rest, all := slices.Clone(b.Bytes[written:]), slices.Clone(frames)
		p.conn.Go(func() {
			if p.write(rest) != nil {
				p.c.PutBack(p, all)
			}
			p.c.Detach(p, nil)
		})
	}
	return written > 0, sent
}

// Wake implements connection.Carrier.
func (p *parkedPoll) Wake() {
	p.conn.Go(func() {
		if p.conn.Claim(p) {
			deliver(p.c, p)
		}
	})
}

// Cut implements connection.Carrier. A newer poll has arrived, or the connection has ended.
func (p *parkedPoll) Cut(error) {
	if p.conn.Claim(p) {
		p.conn.Go(func() { _ = p.empty(http.StatusNoContent) })
	}
}

// Expire implements reentry.Waiter.
func (p *parkedPoll) Expire() {
	if p.conn.Claim(p) {
		expire(p.c, p)
	}
}

// Leave implements reentry.Waiter.
func (p *parkedPoll) Leave() {
	if p.conn.Claim(p) {
		clientLeft(p.c, p, p.begun)
		p.conn.Release()
	}
}

// empty implements poll.
func (p *parkedPoll) empty(status int) error {
	if status == http.StatusNoContent {
		return p.write(p.conn.AppendHead(nil, noHead, -1))
	}
	return p.write(p.conn.AppendHead(nil, emptyHead, 0))
}

// data implements poll.
func (p *parkedPoll) data(b batch) error {
	b.Bytes = p.conn.AppendHead(b.Bytes, dataHead, length(b.Frames))
	return p.answer(b.writeTo)
}

func (p *parkedPoll) write(b []byte) error {
	return p.answer(func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

func (p *parkedPoll) answer(write func(io.Writer) error) error {
	return p.conn.Answer(p.c.Options().SendTimeout, write)
}

const (
	dataHead  = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
	emptyHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	noHead    = "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n"
)
