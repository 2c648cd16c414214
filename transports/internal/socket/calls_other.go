//go:build unix && !linux

package socket

import (
	"errors"
	"syscall"
)

// send sends what the socket fd takes without waiting, and tells how much. It fails with less
// than 0.
func send(fd uintptr, b []byte) int { return write(fd, b) }

// receive reads what is here of the socket fd without waiting.
func receive(fd uintptr, b []byte) (n int, errno syscall.Errno) {
	n, err := syscall.Read(int(fd), b)
	errors.As(err, &errno)
	return n, errno
}
