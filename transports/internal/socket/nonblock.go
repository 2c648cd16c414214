//go:build unix

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// bufferSize is what a connection borrows while there is something to read.
const bufferSize = 8 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// raw does single system calls on a connection that is a socket itself.
type raw struct {
	conn syscall.RawConn // nil: the connection is not one, as under TLS
	// What the next read fills: the rest of what is here already, and then more.
	buffer *[bufferSize]byte
	have   int
	n      int
	err    error
	try    func(fd uintptr) bool // made once: reading allocates nothing
}

func (r *raw) init(conn net.Conn) {
	if s, ok := conn.(syscall.Conn); ok {
		if c, err := s.SyscallConn(); err == nil {
			r.conn, r.try = c, r.tryRead
		}
	}
}

// read waits until there is something, and only then borrows a buffer for it.
func (r *raw) read() (int, error) {
	if err := r.conn.Read(r.try); err != nil {
		return 0, err
	}
	return r.n, r.err
}

func (r *raw) tryRead(fd uintptr) bool {
	if r.buffer == nil {
		r.buffer = buffers.Get().(*[bufferSize]byte)
	}
	n, errno := receive(fd, r.buffer[r.have:])
	for errno == syscall.EINTR {
		n, errno = receive(fd, r.buffer[r.have:])
	}
	var err error
	switch {
	case errno == syscall.EAGAIN:
		if r.have == 0 {
			r.giveBack()
		}
		return false
	case errno != 0:
		n, err = 0, os.NewSyscallError("read", errno)
	case n == 0:
		err = io.EOF
	}
	r.n, r.err = n, err
	return true
}

func (r *raw) giveBack() {
	if r.buffer != nil {
		buffers.Put(r.buffer)
		r.buffer = nil
	}
}

// writing is one system call that writes, kept from one to the next.
type writing struct {
	bytes []byte
	n     int
	try   func(fd uintptr)
}

var writings = sync.Pool{New: func() any {
	w := &writing{}
	w.try = w.tryWrite
	return w
}}

// tryWrite leaves n at zero when it fails: it is tried again then, by a writer, who can wait
// and tell why.
func (w *writing) tryWrite(fd uintptr) { w.n = max(0, send(fd, w.bytes)) }

// write writes what fd, which never waits, takes. It fails with less than 0.
func write(fd uintptr, b []byte) int {
	n, err := syscall.Write(int(fd), b)
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Write(int(fd), b)
	}
	return n
}

// write writes what the socket takes without waiting. Control is for what does not wait:
// unlike Write it leaves what the poller knows of the connection alone, which is far away
// in memory.
func (r *raw) write(b []byte) int {
	if r.conn == nil {
		return 0
	}
	w := writings.Get().(*writing)
	w.bytes, w.n = b, 0
	_ = r.conn.Control(w.try)
	n := w.n
	w.bytes = nil
	writings.Put(w)
	return n
}
