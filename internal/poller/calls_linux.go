package poller

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shortWrite is the length up to which a send is short.
const shortWrite = 16 << 10

// send sends as many bytes as the socket fd accepts without waiting, and returns their
// number. A negative number is a failure. For a receiver whose memory is in no cache, a send
// is cheaper than a write, because it reads less of the kernel's memory.
//
// A short send bypasses the scheduler. The scheduler could do nothing useful in those
// microseconds, and informing it costs a hundredth of a broadcast's work per receiver. A long
// one would delay a garbage collection, so it is an ordinary write.
func send(fd uintptr, b []byte) int {
	if len(b) > shortWrite {
		return write(fd, b)
	}
	n, _, err := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return -1
	}
	return int(n)
}

// receive reads the available bytes of the socket fd without waiting. Like send it bypasses
// the scheduler: it reads at most a buffer.
func receive(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), err
}
