//go:build unix

package poller

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// bufferSize is the size of the buffer that a connection borrows while there is data to read.
const bufferSize = 8 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// raw makes single system calls on a connection that is itself a socket.
type raw struct {
	conn syscall.RawConn // nil: the connection is not a socket, as under TLS
	// The buffer of the next read. Its first have bytes are unconsumed data.
	buffer *[bufferSize]byte
	have   int32
	n      int32 // the result of tryRead
	errno  syscall.Errno
	try    func(fd uintptr) bool // made once, so that reading allocates nothing
}

func (r *raw) init(conn net.Conn) {
	if s, ok := conn.(syscall.Conn); ok {
		if c, err := s.SyscallConn(); err == nil {
			r.conn, r.try = c, r.tryRead
		}
	}
}

// read waits for data and borrows a buffer only when there is some.
func (r *raw) read() (int, error) {
	if err := r.conn.Read(r.try); err != nil {
		return 0, err
	}
	switch {
	case r.errno != 0:
		return 0, os.NewSyscallError("read", r.errno)
	case r.n == 0:
		return 0, io.EOF
	}
	return int(r.n), nil
}

func (r *raw) tryRead(fd uintptr) bool {
	if r.buffer == nil {
		r.buffer = buffers.Get().(*[bufferSize]byte)
	}
	n, errno := receive(fd, r.buffer[r.have:])
	for errno == syscall.EINTR {
		n, errno = receive(fd, r.buffer[r.have:])
	}
	if errno == syscall.EAGAIN {
		if r.have == 0 {
			r.giveBack()
		}
		return false
	}
	r.n, r.errno = int32(n), errno
	return true
}

func (r *raw) giveBack() {
	if r.buffer != nil {
		buffers.Put(r.buffer)
		r.buffer = nil
	}
}

// writing holds the arguments of one write system call. It is reused.
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

// tryWrite leaves n at zero if it fails. A writer then tries again: it can wait, and returns
// the error.
func (w *writing) tryWrite(fd uintptr) { w.n = max(0, send(fd, w.bytes)) }

// write writes as many bytes as fd, which is non-blocking, accepts. A negative result is a
// failure.
func write(fd uintptr, b []byte) int {
	n, err := syscall.Write(int(fd), b)
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Write(int(fd), b)
	}
	return n
}

// write writes as many bytes as the socket accepts without waiting. It uses Control, which
// does not wait. Unlike Write, Control does not access the poller's data of the connection,
// which is rarely in the cache.
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
