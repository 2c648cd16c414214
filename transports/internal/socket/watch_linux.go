package socket

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/carillon-go/carillon/internal/crew"
)

// Watch waits for what the clients of resting sockets say, for all of them with one
// goroutine, which is there while any of them rests: ten thousand goroutines that wait
// would hold 25 MB. It asks an epoll instance, on which it waits as on a network connection,
// so that no thread is kept. Safe for concurrent use.
type Watch struct {
	running *sync.WaitGroup
	readers *crew.Crew[*Socket]

	mu      sync.Mutex
	epoll   *os.File // nil: nobody rests
	fd      int      // of epoll
	resting map[int64]*Socket
	last    int64 // key given to a socket that rests
}

// watched is what a watch knows of a socket; its lock guards it.
type watched struct {
	key   int64    // among those that rest, while it does
	epoll *os.File // that has heard of the socket
}

// NewWatch returns a watch whose goroutine, and those of its sockets, are counted in running.
func NewWatch(running *sync.WaitGroup) *Watch {
	return &Watch{running: running, readers: crew.New(running, (*Socket).serve), resting: map[int64]*Socket{}}
}

// add lets s rest until there is something to read. It fails where that cannot be told, as
// under TLS, whose bytes may be here already.
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
		w.closeIdle()
		return false
	}
	s.watched = watched{key: w.last, epoll: w.epoll}
	w.resting[w.last] = s
	return true
}

// arm asks for one event.
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

// rouse ends the rest of s, if it has one.
func (w *Watch) rouse(s *Socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(s.watched.key)
}

// end has the socket read that rests under a key, if one does. The watch counts as running
// until its reader does. The lock is held.
func (w *Watch) end(key int64) {
	if s := w.resting[key]; s != nil {
		delete(w.resting, key)
		w.readers.Go(s)
		w.closeIdle()
	}
}

func (w *Watch) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or reading would keep a thread
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

// closeIdle ends the goroutine when nobody rests.
func (w *Watch) closeIdle() {
	if len(w.resting) == 0 && w.epoll != nil {
		_ = w.epoll.Close()
		w.epoll = nil
	}
}

// run rouses who has something to read, until the epoll instance is closed.
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
		w.end(keyOf(&events[i]))
	}
}
