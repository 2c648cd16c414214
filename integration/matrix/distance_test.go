package matrix_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// distance is a TCP proxy that makes a server far away: a connection takes a round trip, and what is sent half of one.
type distance struct {
	to        string
	roundTrip time.Duration
	gone      chan struct{}
	work      sync.WaitGroup
}

// farAway brings a server to a distance and returns where it is then. The proxy ends with the test.
func farAway(t *testing.T, server string, roundTrip time.Duration) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &distance{to: server, roundTrip: roundTrip, gone: make(chan struct{})}
	d.work.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			d.work.Go(func() { d.carry(near.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(d.gone)
		d.work.Wait()
	})
	return l.Addr().String()
}

func (d *distance) carry(near *net.TCPConn) {
	defer near.Close()
	connected := time.Now().Add(d.roundTrip)
	c, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	far := c.(*net.TCPConn)
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { d.send(near, far, connected) })
	both.Go(func() { d.send(far, near, connected) })
	left := make(chan struct{})
	go func() { both.Wait(); close(left) }() // ends when both are closed
	select {
	case <-left:
	case <-d.gone:
		near.Close()
		far.Close()
		<-left
	}
}

// parcel is what was sent at one time; without bytes it is the end.
type parcel struct {
	bytes   []byte
	end     error
	arrives time.Time
}

// send takes what comes from one side to the other, not before both are connected.
func (d *distance) send(from, to *net.TCPConn, connected time.Time) {
	under := make(chan parcel, 1<<10)
	go func() { // ends with from, which the other loop's end closes
		defer close(under)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			departs := time.Now()
			if departs.Before(connected) {
				departs = connected
			}
			under <- parcel{buf[:n], err, departs.Add(d.roundTrip / 2)}
			if err != nil {
				return
			}
		}
	}()
	for p := range under {
		select {
		case <-time.After(time.Until(p.arrives)):
			deliver(p, to)
		case <-d.gone:
		}
	}
}

// deliver hands a parcel over; a connection that broke breaks there too.
func deliver(p parcel, to *net.TCPConn) {
	_, _ = to.Write(p.bytes)
	switch {
	case errors.Is(p.end, io.EOF):
		_ = to.CloseWrite()
	case p.end != nil:
		_ = to.SetLinger(0)
		to.Close()
	}
}
