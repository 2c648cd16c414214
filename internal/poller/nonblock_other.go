//go:build !unix

package poller

import (
	"net"
	"sync"
)

const bufferSize = 8 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// raw has no non-blocking system calls on this system: a writer writes everything, and reads
// use a fixed buffer.
type raw struct {
	conn   net.Conn // always nil
	buffer *[bufferSize]byte
	have   int32
}

func (r *raw) init(net.Conn) {}

func (r *raw) read() (int, error) { panic("poller: not reached") }

func (r *raw) write([]byte) int { return 0 }

func (r *raw) giveBack() {
	if r.buffer != nil {
		buffers.Put(r.buffer)
		r.buffer = nil
	}
}
