//go:build unix && !linux

package poller

import (
	"errors"
	"syscall"
)

// send sends as many bytes as the socket fd accepts without waiting, and returns their
// number. A negative number is a failure.
func send(fd uintptr, b []byte) int { return write(fd, b) }

// receive reads the available bytes of the socket fd without waiting.
func receive(fd uintptr, b []byte) (n int, errno syscall.Errno) {
	n, err := syscall.Read(int(fd), b)
	errors.As(err, &errno)
	return n, errno
}
