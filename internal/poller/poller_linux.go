package poller

import (
	"container/heap"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

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

	mu        sync.Mutex
	epoll     *os.File // nil: no connection is parked
	fd        int      // of epoll
	parked    map[int64]*Conn
	last      int64     // the last key given to a parked connection
	deadlines deadlines // of parked connections
}

// parking is a poller's data of a connection. The poller's lock guards it.
type parking struct {
	key   int64    // of the connection, while it is parked
	epoll *os.File // the instance with which the connection is registered
	place int      // in the poller's deadlines, counted from 1; 0: not in it
}

// New returns a poller. running counts its goroutine and its readers.
func New(running *sync.WaitGroup) *Poller {
	return &Poller{running: running, readers: crew.New(running, (*Conn).serve), parked: map[int64]*Conn{}}
}

// add parks c until there is data to read, or until its deadline. It reports false where the
// system cannot report data, as under TLS, because the TLS library may hold received bytes.
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
	c.parking.key, c.parking.epoll = p.last, p.epoll
	p.parked[p.last] = c
	if c.until > 0 {
		heap.Push(&p.deadlines, c)
		if c.parking.place == 1 {
			p.setDeadlineLocked()
		}
	}
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
		if c.parking.place > 0 {
			heap.Remove(&p.deadlines, c.parking.place-1)
		}
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

// run starts the readers of connections with data or with a deadline that has passed, until
// the epoll instance is closed.
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
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || n < 0 {
			return
		}
		p.happened(events[:n])
	}
}

// happened starts the readers for events, or for deadlines if there are none.
func (p *Poller) happened(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		p.wakeLocked(keyOf(&events[i]))
	}
	if len(events) > 0 {
		return
	}
	for at := now(); len(p.deadlines) > 0 && p.deadlines[0].until <= at; {
		p.wakeLocked(p.deadlines[0].parking.key)
	}
	p.setDeadlineLocked()
}

// setDeadlineLocked makes run return from its wait at the first deadline.
func (p *Poller) setDeadlineLocked() {
	var first time.Time
	if len(p.deadlines) > 0 {
		first = begun.Add(time.Duration(p.deadlines[0].until))
	}
	if p.epoll != nil {
		_ = p.epoll.SetReadDeadline(first)
	}
}

// deadlines is a heap of the parked connections that have a deadline, the earliest first. A
// deadline does not change while its connection is parked.
type deadlines []*Conn

// Len implements heap.Interface.
func (d deadlines) Len() int { return len(d) }

// Less implements heap.Interface.
func (d deadlines) Less(i, j int) bool { return d[i].until < d[j].until }

// Swap implements heap.Interface.
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].parking.place, d[j].parking.place = i+1, j+1
}

// Push implements heap.Interface.
func (d *deadlines) Push(c any) {
	*d = append(*d, c.(*Conn))
	(*d)[len(*d)-1].parking.place = len(*d)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last], c.parking.place = nil, 0
	*d = (*d)[:last]
	return c
}
