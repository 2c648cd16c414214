package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/protocol"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// patience bounds the waits of a life; no test asserts it.
const patience = 2 * time.Minute

// Life is one client from its start to its end.
type Life struct {
	random *rand.Rand
	conn   *client.HubConnection
	ears   *ears
	net    *cutter
	joined map[int]int // rooms, and the number after which everything has to be heard
	told   int
	what   string // for complaints
	// stateful lives go on when their network is cut and comes back.
	stateful bool
}

// UserHeader is the header of each request that names the user. Each Life is a user of its own.
const UserHeader = "X-User"

// NewLife returns the life of a client of the Hub at a URL. random decides on it.
func NewLife(url, who string, random *rand.Rand) *Life {
	l := &Life{random: random, net: newCutter(), joined: make(map[int]int), stateful: random.IntN(2) == 0}
	transport := signalr.Transports()[random.IntN(3)]
	hubProtocol := protocol.HubProtocol(protocol.NewJSON(protocol.JSONOptions{}))
	if transport != transports.ServerSentEvents && random.IntN(2) == 0 {
		hubProtocol = protocol.NewMessagePack()
	}
	l.what = fmt.Sprintf("%s (%s, %s, stateful: %t)", strings.TrimRight(who, "."), transport, hubProtocol.Name(), l.stateful)
	l.conn = client.New(url, client.Options{
		Transports: []client.Transport{transport}, Protocol: hubProtocol, Memory: client.NewMemory(),
		StatefulReconnect: l.stateful,
		Header:            http.Header{UserHeader: {who}},
		HTTPClient:        &http.Client{Transport: l.net.transport},
	})
	l.ears = newEars(l.conn)
	return l
}

// Live connects, does some things and ends somehow. It returns the faults, which must never be, the
// losses, which only a client may have that was cut off, and the messages of other nodes that are
// missing. A client may miss those only if its node, or theirs, had lost its backplane.
func (l *Life) Live(ctx context.Context) (wrong, lost, missed []string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer l.net.close()
	begin, ok := l.begin(ctx)
	if !ok {
		return l.tell(false)
	}
	for range l.random.IntN(30) {
		l.check(l.act(ctx, l.random.IntN(13)))
	}
	orderly := false
	switch l.random.IntN(5) {
	case 0:
		l.cutDuring(ctx, func() {
			l.net.end()
			if l.stateful { // it would hope for 15 seconds
				l.tolerate(l.conn.Stop(ctx))
			}
		})
	case 1:
		l.cutDuring(ctx, func() { l.tolerate(l.conn.Send(ctx, "Die")) })
	case 2:
		l.cutDuring(ctx, func() { l.tolerate(l.conn.Stop(ctx)) })
	default:
		l.finish(ctx, begin.Sent)
		orderly = true
	}
	if err := l.conn.Stop(ctx); err != nil && orderly {
		l.ears.lost("stop: %v", err)
	}
	return l.tell(orderly)
}

// Stay is Live, but acts until over is closed or the connection ends, and then ends in order.
func (l *Life) Stay(ctx context.Context, over <-chan struct{}) (wrong, lost, missed []string) {
	defer l.net.close()
	begin, ok := l.begin(ctx)
	if !ok {
		return l.tell(false)
	}
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, patience)
		select {
		case <-pause.C:
			l.check(l.act(limited, l.random.IntN(13)))
			cancel()
			continue
		case <-over:
			l.finish(limited, begin.Sent)
		case <-l.ears.end:
			l.ears.lost("the connection ended")
		}
		if err := l.conn.Stop(limited); err != nil {
			l.ears.lost("stop: %v", err)
		}
		cancel()
		return l.tell(true)
	}
}

// Heard returns how many numbered messages of other nodes have come.
func (l *Life) Heard() int {
	l.ears.mu.Lock()
	defer l.ears.mu.Unlock()
	n := 0
	for source, count := range l.ears.counts {
		if source != l.ears.own && source != "" {
			n += count
		}
	}
	return n
}

// begin connects, and returns the place at which the client begins to hear everything.
func (l *Life) begin(ctx context.Context) (at mark, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := l.conn.Start(ctx); err != nil {
		l.ears.lost("start: %v", err)
		return at, false
	}
	at, err := client.Invoke[mark](ctx, l.conn, "Mark")
	l.check(err)
	l.ears.own = at.Source
	return at, true
}

func (l *Life) tell(orderly bool) (wrong, lost, missed []string) {
	wrong, lost, missed = l.ears.complaints(orderly)
	for _, complaints := range [][]string{wrong, lost, missed} {
		for i := range complaints {
			complaints[i] = l.what + ": " + complaints[i]
		}
	}
	return wrong, lost, missed
}

func (l *Life) check(err error) {
	switch {
	case errors.Is(err, errWrong):
		l.ears.wrong("%v", err)
	case err != nil:
		l.ears.lost("%v", err)
	}
}

// tolerate accepts every error but that of an operation that hung.
func (l *Life) tolerate(err error) {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errWrong) {
		l.check(fmt.Errorf("while the connection ended: %w", err))
	}
}

// cutDuring ends the connection while something runs, which has to notice.
func (l *Life) cutDuring(ctx context.Context, end func()) {
	var running sync.WaitGroup
	for range 2 {
		what := l.random.IntN(harmless)
		random := newRandom(l.random.Uint64(), 0) // used by this goroutine only
		running.Go(func() { l.tolerate(l.do(ctx, what, random)) })
	}
	end()
	running.Wait()
}

// finish leaves all rooms and checks that everything came.
func (l *Life) finish(ctx context.Context, begin int) {
	for room := range l.joined {
		l.check(l.leaveRoom(ctx, room))
	}
	end, err := client.Invoke[mark](ctx, l.conn, "Mark")
	l.check(err)
	if err != nil {
		return
	}
	l.ears.expect(ctx, everyone, begin, end.Sent, false)
	l.ears.expect(ctx, user, 0, l.told, true)
}

// act does one of the things that a life may do.
func (l *Life) act(ctx context.Context, what int) error {
	if what < harmless {
		return l.do(ctx, what, l.random)
	}
	room := l.random.IntN(roomCount)
	switch _, in := l.joined[room]; {
	case what == harmless+1:
		if l.stateful {
			l.net.cut()
		}
		return nil
	case what == harmless:
		n := l.random.IntN(20)
		err := l.conn.Invoke(ctx, "Tell", l.told+1, n)
		l.told += n
		return err
	case in:
		return l.leaveRoom(ctx, room)
	default:
		after, err := client.Invoke[int](ctx, l.conn, "Join", room)
		l.joined[room] = after
		return err
	}
}

func (l *Life) leaveRoom(ctx context.Context, room int) error {
	last, err := client.Invoke[int](ctx, l.conn, "Leave", room)
	if err == nil {
		l.ears.expect(ctx, roomName(room), l.joined[room], last, true)
	}
	delete(l.joined, room)
	return err
}

var errWrong = errors.New("a wrong result")

// harmless is how many things there are that change nothing in the model, so that they may be cut.
const harmless = 9

func (l *Life) do(ctx context.Context, what int, random *rand.Rand) error {
	switch what {
	case 0:
		return l.conn.Invoke(ctx, "Shout")
	case 1:
		return l.conn.Invoke(ctx, "Tick")
	case 2, 3:
		return l.conn.Invoke(ctx, "Say", random.IntN(roomCount))
	case 4:
		return l.conn.Invoke(ctx, "Nest")
	case 5:
		text := strings.Repeat("é", random.IntN(5000))
		return right(text)(client.Invoke[string](ctx, l.conn, "Echo", text))
	case 6:
		n := random.IntN(1000)
		return right(2 * n)(client.Invoke[int](ctx, l.conn, "AskBack", n))
	case 7:
		return l.count(ctx, random.IntN(50))
	default:
		numbers := random.Perm(30)
		total := 30 * 29 / 2
		return right(total)(client.Invoke[int](ctx, l.conn, "Sum", client.UploadSeq(slices.Values(numbers))))
	}
}

func (l *Life) count(ctx context.Context, n int) error {
	want := 0
	for got, err := range client.Stream[int](ctx, l.conn, "Count", n) {
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%w: item %d is %d", errWrong, want, got)
		}
		want++
	}
	return right(n)(want, nil)
}

// right returns a check of a result.
func right[T comparable](want T) func(T, error) error {
	return func(got T, err error) error {
		if err == nil && got != want {
			return fmt.Errorf("%w: %v, not %v", errWrong, got, want)
		}
		return err
	}
}

func newRandom(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // it has to come the same again
}

// cutter is a client's network, which can be cut.
type cutter struct {
	transport *http.Transport
	mu        sync.Mutex
	conns     []net.Conn
	dead      bool
}

func newCutter() *cutter {
	c := &cutter{}
	c.transport = &http.Transport{DialContext: c.dial}
	return c
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.conns = append(c.conns, conn)
	return conn, nil
}

// cut cuts everything that there is.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// end cuts everything, for ever.
func (c *cutter) end() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.cut()
}

func (c *cutter) close() { c.transport.CloseIdleConnections() }
