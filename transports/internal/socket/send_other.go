//go:build unix && !linux

package socket

// send sends what the socket fd takes without waiting, and tells how much. It fails with less
// than 0.
func send(fd uintptr, b []byte) int { return write(fd, b) }
