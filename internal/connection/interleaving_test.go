package connection

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// Requests that open, resume, fail and break at random, and an application that sends and
// closes meanwhile: the receiver is called as it was promised, and nothing stays.
func TestInterleavings(t *testing.T) {
	for _, kind := range signalr.Transports() {
		t.Run(string(kind), func(t *testing.T) {
			for range 100 {
				synctest.Test(t, func(t *testing.T) { newMess(t, kind).run() })
			}
		})
	}
}

// mess is one connection of which much happens at once.
type mess struct {
	t        *testing.T
	kind     transports.Type
	c        *Connection
	resumed  atomic.Int32
	carriers sync.WaitGroup
}

func newMess(t *testing.T, kind transports.Type) *mess {
	t.Helper()
	registry := NewRegistry(messy{t}, transports.Options{AllowStatefulReconnect: true})
	c, err := registry.Create(httptest.NewRequest(http.MethodGet, "/hub", nil), true, kind)
	if err != nil {
		t.Fatal(err)
	}
	return &mess{t: t, kind: kind, c: c}
}

func (m *mess) run() {
	m.request(0)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			for range 4 {
				m.request(m.resumed.Add(rand.Int32N(2)))
			}
		})
	}
	all.Go(m.application)
	all.Wait()
	m.carriers.Wait()
	time.Sleep(2 * m.c.Options().DisconnectTimeout) // of the bubble
	r := m.c.registry
	if r.Len() != 0 || r.Queued() != 0 {
		m.t.Errorf("%d connections are left, and %d bytes", r.Len(), r.Queued())
	}
	m.c.Abort(transports.ErrShutdown)
	_ = r.Shutdown(m.t.Context())
}

func (m *mess) application() {
	for range 10 {
		_ = m.c.Send(frame.New([]byte("x"), false))
		time.Sleep(rand.N(time.Second)) // of the bubble
	}
	switch rand.IntN(4) {
	case 0:
		m.c.Close(transports.ErrApplication)
	case 1:
		m.c.Abort(transports.ErrApplication)
	}
}

func (m *mess) request(resumption int32) {
	r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/hub?carillonResume=%d", resumption), nil)
	first, err := m.c.Claim(m.kind, r)
	k := &messyCarrier{m: m, cut: make(chan struct{})}
	switch {
	case err != nil:
	case m.kind != transports.LongPolling:
		m.stream(k, r)
	case first:
		_ = m.c.Open(nil, Resumption(r))
		m.c.ReleaseIdle()
	default:
		m.poll(k, r)
	}
}

func (m *mess) stream(k *messyCarrier, r *http.Request) {
	if rand.IntN(4) == 0 {
		m.c.Abandon(transports.ErrCut)
		return
	}
	if m.c.Open(k, Resumption(r)) != nil {
		return
	}
	for range rand.IntN(3) {
		_ = m.c.Receive(k, nil)
		_ = m.c.Post(m.t.Context(), Resumption(r), []byte("x"))
	}
	k.wait()
	m.c.Detach(k, transports.ErrCut)
}

func (m *mess) poll(k *messyCarrier, r *http.Request) {
	older, err := m.c.Attach(k, Resumption(r))
	if err != nil {
		return
	}
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	k.wait()
	m.c.Detach(k, nil)
}

// messyCarrier is a WebSocket, an event stream or a poll.
type messyCarrier struct {
	m    *mess
	once sync.Once
	cut  chan struct{}
}

// wait returns when the carrier is cut, or breaks, at once or later.
func (k *messyCarrier) wait() {
	select {
	case <-k.cut:
	case <-time.After(time.Duration(rand.IntN(3)) * time.Second):
	}
}

func (k *messyCarrier) Cut(error) { k.once.Do(func() { close(k.cut) }) }

func (k *messyCarrier) Wake() { k.m.carriers.Go(k.send) }

func (k *messyCarrier) send() {
	for {
		frames, outcome := k.m.c.Next(k, nil)
		switch {
		case outcome == Finished:
			k.m.c.Detach(k, transports.ErrClientGone)
		case outcome == Frames && rand.IntN(10) > 0:
			continue
		case outcome == Frames && k.m.kind == transports.LongPolling:
			k.m.c.PutBack(k, frames)
			k.m.c.Detach(k, nil)
		case outcome == Frames:
			k.m.c.Detach(k, transports.ErrCut)
		}
		return
	}
}

// messy is an application that notes how it is called.
type messy struct{ t *testing.T }

func (a messy) Connect(c transports.Connection) (transports.Receiver, error) {
	return &messyReceiver{t: a.t, c: c.(*Connection)}, nil
}

type messyReceiver struct {
	t          *testing.T
	c          *Connection
	calls      atomic.Int32 // that are under way
	away, over bool
}

// called notes a call, which is right or wrong.
func (r *messyReceiver) called(right bool, what string) {
	if r.calls.Add(1) > 1 || r.over || !right {
		r.t.Errorf("%s; away: %v, over: %v", what, r.away, r.over)
	}
}

func (r *messyReceiver) Receive([]byte) error {
	r.called(!r.away, "Receive")
	defer r.calls.Add(-1)
	if rand.IntN(40) == 0 {
		return transports.ErrApplication
	}
	return nil
}

func (r *messyReceiver) Interrupted() {
	r.called(!r.away, "Interrupted")
	defer r.calls.Add(-1)
	r.away = true
}

func (r *messyReceiver) Resumed() {
	r.called(r.away, "Resumed")
	defer r.calls.Add(-1)
	r.away = false
	_ = r.c.Send(frame.New([]byte("x"), false))
}

func (r *messyReceiver) Disconnected(error) {
	r.called(true, "Disconnected")
	defer r.calls.Add(-1)
	r.over = true
}
