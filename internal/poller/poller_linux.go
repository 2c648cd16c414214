package poller

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/carillon-go/carillon/internal/crew"
)

// Poller waits for data on all parked connections with one goroutine, which runs while any
// connection is parked: ten thousand waiting goroutines would hold 25 MB. It uses an epoll
// instance and waits for that like for a network connection, so it does not block a thread.
// Safe for concurrent use.
type Poller struct {
	running *sync.WaitGroup
	readers *crew.Crew[*Conn]

	mu     sync.Mutex
	epoll  *os.File // nil: no connection is parked
	fd     int      // of epoll
	parked map[int64]*Conn
	last   int64 // the last key given to a parked connection
}

// parking is a poller's data of a connection. The poller's lock guards it.
type parking struct {
	key   int64    // of the connection, while it is parked
	epoll *os.File // the instance with which the connection is registered
}

// New returns a poller. running counts its goroutine and its readers.
func New(running *sync.WaitGroup) *Poller {
	return &Poller{running: running, readers: crew.New(running, (*Conn).serve), parked: map[int64]*Conn{}}
}

// add parks c until there is data to read. It reports false where the system cannot report
// that, as under TLS, because the TLS library may hold received bytes.
func (p *Poller) add(c *Conn) bool {
	if c.raw.conn == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoll == nil && p.open() != nil {
		return false
	}
	p.last++
	if err := p.arm(c, p.last); err != nil {
		p.closeIdleLocked()
		return false
	}
	c.parking = parking{key: p.last, epoll: p.epoll}
	p.parked[p.last] = c
	return true
}

// arm requests one event. The HTTP server may have had the connection in the meantime, so it
// may be registered already.
func (p *Poller) arm(c *Conn, key int64) error {
	op := unix.EPOLL_CTL_ADD
	if c.parking.epoll == p.epoll {
		op = unix.EPOLL_CTL_MOD
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(key), Pad: int32(key >> 32)}
	var err error
	closed := c.raw.conn.Control(func(fd uintptr) {
		if err = unix.EpollCtl(p.fd, op, int(fd), &event); errors.Is(err, unix.EEXIST) {
			err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, int(fd), &event)
		}
	})
	if closed != nil {
		return closed
	}
	return err
}

func keyOf(e *unix.EpollEvent) int64 { return int64(e.Pad)<<32 | int64(uint32(e.Fd)) }

// wake starts the reader of c if c is parked.
func (p *Poller) wake(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeLocked(c.parking.key)
}

// wakeLocked starts the reader of the connection with a key, if one is parked. The poller's
// goroutine may end afterwards: the reader is counted in running before that.
func (p *Poller) wakeLocked(key int64) {
	if c := p.parked[key]; c != nil {
		delete(p.parked, key)
		p.readers.Go(c)
		p.closeIdleLocked()
	}
}

func (p *Poller) open() error {
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
	p.epoll, p.fd = epoll, fd
	p.running.Go(func() { p.run(conn) })
	return nil
}

// closeIdleLocked closes the epoll instance, which ends the goroutine, if no connection is
// parked.
func (p *Poller) closeIdleLocked() {
	if len(p.parked) == 0 && p.epoll != nil {
		_ = p.epoll.Close()
		p.epoll = nil
	}
}

// run starts the readers of connections with data, until the epoll instance is closed.
func (p *Poller) run(conn syscall.RawConn) {
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
		p.happened(events[:n])
	}
}

func (p *Poller) happened(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		p.wakeLocked(keyOf(&events[i]))
	}
}
