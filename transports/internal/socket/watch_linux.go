package socket

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/carillon-go/carillon/internal/crew"
)

// Watch waits for data on all parked sockets with one goroutine, which runs while any socket
// is parked: ten thousand waiting goroutines would hold 25 MB. It uses an epoll instance and
// waits for that like for a network connection, so it does not block a thread. Safe for
// concurrent use.
type Watch struct {
	running *sync.WaitGroup
	readers *crew.Crew[*Socket]

	mu      sync.Mutex
	epoll   *os.File // nil: no socket is parked
	fd      int      // of epoll
	resting map[int64]*Socket
	last    int64 // the last key given to a parked socket
}

// watched is a watch's data of a socket. The watch's lock guards it.
type watched struct {
	key   int64    // of the parked socket, while it is parked
	epoll *os.File // the instance with which the socket is registered
}

// NewWatch returns a watch. running counts its goroutine and those of its sockets.
func NewWatch(running *sync.WaitGroup) *Watch {
	return &Watch{running: running, readers: crew.New(running, (*Socket).serve), resting: map[int64]*Socket{}}
}

// add parks s until there is data to read. It reports false where the system cannot report
// that, as under TLS, because the TLS library may hold received bytes.
func (w *Watch) add(s *Socket) bool {
	if s.conn.raw.conn == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoll == nil && w.open() != nil {
		return false
	}
	w.last++
	if err := w.arm(s, w.last); err != nil {
		w.closeIdleLocked()
		return false
	}
	s.watched = watched{key: w.last, epoll: w.epoll}
	w.resting[w.last] = s
	return true
}

// arm requests one event.
func (w *Watch) arm(s *Socket, key int64) error {
	op := unix.EPOLL_CTL_ADD
	if s.watched.epoll == w.epoll {
		op = unix.EPOLL_CTL_MOD
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(key), Pad: int32(key >> 32)}
	var err error
	if closed := s.conn.raw.conn.Control(func(fd uintptr) { err = unix.EpollCtl(w.fd, op, int(fd), &event) }); closed != nil {
		return closed
	}
	return err
}

func keyOf(e *unix.EpollEvent) int64 { return int64(e.Pad)<<32 | int64(uint32(e.Fd)) }

// wake starts the reader of s if s is parked.
func (w *Watch) wake(s *Socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wakeLocked(s.watched.key)
}

// wakeLocked starts the reader of the socket with a key, if one is parked. The watch's
// goroutine may end afterwards: the reader is counted in running before that.
func (w *Watch) wakeLocked(key int64) {
	if s := w.resting[key]; s != nil {
		delete(w.resting, key)
		w.readers.Go(s)
		w.closeIdleLocked()
	}
}

func (w *Watch) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // otherwise reading would block a thread
		_ = unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	epoll := os.NewFile(uintptr(fd), "epoll")
	conn, err := epoll.SyscallConn()
	if err != nil {
		_ = epoll.Close()
		return err
	}
	w.epoll, w.fd = epoll, fd
	w.running.Go(func() { w.run(conn) })
	return nil
}

// closeIdleLocked closes the epoll instance, which ends the goroutine, if no socket is
// parked.
func (w *Watch) closeIdleLocked() {
	if len(w.resting) == 0 && w.epoll != nil {
		_ = w.epoll.Close()
		w.epoll = nil
	}
}

// run starts the readers of sockets with data, until the epoll instance is closed.
func (w *Watch) run(conn syscall.RawConn) {
	events := make([]unix.EpollEvent, 128)
	for {
		var n int
		err := conn.Read(func(fd uintptr) bool {
			var err error
			for n, err = unix.EpollWait(int(fd), events, 0); errors.Is(err, unix.EINTR); {
				n, err = unix.EpollWait(int(fd), events, 0)
			}
			return n != 0
		})
		if err != nil || n < 0 {
			return
		}
		w.happened(events[:n])
	}
}

func (w *Watch) happened(events []unix.EpollEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		w.wakeLocked(keyOf(&events[i]))
	}
}
