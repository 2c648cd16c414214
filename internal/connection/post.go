package connection

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// uploads reads the bodies of POSTs, one after the other.
type uploads struct {
	posting sync.Mutex    // held while the body of a POST is read
	posts   atomic.Uint32 // number of POSTs
	body    body
}

// Posts returns the number of the connection's POSTs.
func (u *uploads) Posts() int { return int(u.posts.Load()) }

// posted counts a POST. The first one is the handshake. A client that sends a second one has
// read the handshake response.
func posted(c *Connection) {
	if c.posts.Add(1) == 2 {
		c.Tell(transports.Event{Kind: transports.Proved})
	}
}

var bodyBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

// receiveBuffer is ASP.NET Core's ApplicationMaxBufferSize.
const receiveBuffer = 1 << 16

// readBody passes a body on while it arrives, one POST of a connection after the other. The
// received part of an incomplete body counts.
func readBody(w http.ResponseWriter, r *http.Request, c *Connection) error {
	c.posting.Lock()
	defer c.posting.Unlock()
	resumption := Resumption(r)
	if !c.beginBody(w, resumption) {
		return ErrActive
	}
	defer c.body.end()
	buf := bodyBuffers.Get().(*[4096]byte)
	defer bodyBuffers.Put(buf)
	if c.hasEnded() {
		return transports.ErrEnded
	}
	patience := newBodyPatience(w, r)
	for size := 0; ; {
		n, err := r.Body.Read(buf[:])
		// A body that closed the connection is answered as a success, unless it would have
		// exceeded ASP.NET Core's buffer.
		if size += n; size > receiveBuffer && c.ctx.Err() != nil {
			return transports.ErrEnded
		}
		if n > 0 {
			c.Cork()
			began := time.Now()
			err := c.Post(r.Context(), resumption, buf[:n])
			c.Uncork() // the rest of the body may take long
			if err != nil {
				return err
			}
			c.body.extend(c.ctx, patience, time.Since(began))
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && c.ctx.Err() == nil:
			return errBodyLate
		default:
			return nil // a client that aborted its body reads no answer
		}
	}
}
