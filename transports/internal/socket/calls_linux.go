package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send sends what the socket fd takes without waiting, and tells how much. It fails with less
// than 0. For a receiver whose memory is in no cache a send is cheaper than a write, because
// it looks at less of the kernel's.
//
// The scheduler is not told of a short one: it could do nothing in those microseconds, and
// telling costs a hundredth of all that a broadcast does for a receiver. A long one would
// keep a collection of garbage waiting.
func send(fd uintptr, b []byte) int {
	if len(b) > copyLimit {
		return write(fd, b)
	}
	n, _, err := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return -1
	}
	return int(n)
}

// receive reads what is here of the socket fd without waiting. As for send, the scheduler is
// not told: no more is asked for than a buffer holds.
func receive(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}
