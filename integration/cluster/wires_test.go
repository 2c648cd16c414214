//go:build linux

package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// wires are the network between the nodes of a cluster: a TCP proxy in front of the listener of
// each, at the address that it advertises. They can stop to carry bytes between two nodes, and
// carry all bytes slowly.
type wires struct {
	addresses []string
	links     []string // where the nodes listen
	gone      context.Context
	work      sync.WaitGroup

	begun chan struct{} // closed when pids are valid
	pids  [nodeCount]atomic.Int64

	mu     sync.Mutex
	parted map[[2]int]chan struct{} // by the two nodes, the smaller number first; closed when they are joined again
	delay  time.Duration            // of each part of slowPart bytes at most
}

// slowPart is the number of bytes that are carried at once.
const slowPart = 4 << 10

// newWires starts the proxies. They end with the test, and carry nothing before begin is called.
func newWires(t *testing.T, links []string) *wires {
	t.Helper()
	gone, end := context.WithCancel(context.Background())
	w := &wires{links: links, gone: gone, begun: make(chan struct{}), parted: map[[2]int]chan struct{}{}}
	for to := range links {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(gone, func() { _ = l.Close() })
		w.addresses = append(w.addresses, l.Addr().String())
		w.work.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				w.work.Go(func() { w.carry(c.(*net.TCPConn), to) })
			}
		})
	}
	t.Cleanup(func() {
		end()
		w.work.Wait()
	})
	return w
}

// begin is told the processes of the nodes.
func (w *wires) begin(nodes []*testproc.Process) {
	for i, p := range nodes {
		w.pids[i].Store(int64(p.PID()))
	}
	close(w.begun)
}

// replaced is told the new process of a node.
func (w *wires) replaced(node int, p *testproc.Process) { w.pids[node].Store(int64(p.PID())) }

func between(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// part stops all bytes between two nodes until join is called.
func (w *wires) part(a, b int) (join func()) {
	joined := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parted[between(a, b)] = joined
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.parted, between(a, b))
		close(joined)
	}
}

// slow delays all bytes, and limits their number: slowPart bytes in each delay on each connection.
func (w *wires) slow(delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = delay
}

// carry serves a network connection to a node.
func (w *wires) carry(near *net.TCPConn, to int) {
	defer near.Close()
	select {
	case <-w.begun:
	case <-w.gone.Done():
		return
	}
	from := w.awaitDialer(near.RemoteAddr().(*net.TCPAddr).Port)
	if from < 0 {
		return // it has given up
	}
	c, err := net.Dial("tcp", w.links[to])
	if err != nil {
		return
	}
	far := c.(*net.TCPConn)
	defer far.Close()
	defer context.AfterFunc(w.gone, func() {
		_ = near.Close()
		_ = far.Close()
	})()
	var both sync.WaitGroup
	both.Go(func() { w.pump(between(from, to), near, far) })
	both.Go(func() { w.pump(between(from, to), far, near) })
	both.Wait()
}

// pump carries bytes, and then the end.
func (w *wires) pump(pair [2]int, from, to *net.TCPConn) {
	defer func() { _ = to.CloseWrite() }()
	var part [slowPart]byte
	for {
		n, err := from.Read(part[:])
		if !w.await(pair) {
			return
		}
		if _, failed := to.Write(part[:n]); failed != nil || err != nil {
			return
		}
	}
}

// await waits until the next bytes may pass. It reports false at the end of the test.
func (w *wires) await(pair [2]int) bool {
	w.mu.Lock()
	joined, delay := w.parted[pair], w.delay
	w.mu.Unlock()
	if joined != nil {
		select {
		case <-joined:
		case <-w.gone.Done():
		}
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-w.gone.Done():
		}
	}
	return w.gone.Err() == nil
}

// awaitDialer is dialer for a node that may have just been started: replaced follows.
func (w *wires) awaitDialer(port int) int {
	for range 500 {
		if node := w.dialer(port); node >= 0 || w.gone.Err() != nil {
			return node
		}
		time.Sleep(20 * time.Millisecond) // waits for another process
	}
	return -1
}

// dialer returns the node that has a socket with a local port, or -1. All nodes dial from the same
// IP address.
func (w *wires) dialer(port int) int {
	table, _ := os.ReadFile("/proc/net/tcp")
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || !strings.HasSuffix(fields[1], suffix) {
			continue
		}
		for i := range w.pids {
			if hasSocket(w.pids[i].Load(), fields[9]) {
				return i
			}
		}
	}
	return -1
}

// hasSocket reports whether a process has a socket, by the number of its inode.
func hasSocket(pid int64, inode string) bool {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	files, _ := os.ReadDir(dir)
	for _, file := range files {
		if to, _ := os.Readlink(dir + file.Name()); to == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
