package hub_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// sink is a connection that counts what it gets.
type sink struct {
	id   string
	got  chan struct{} // nil: nobody waits
	sent int
}

func (s *sink) ID() string               { return s.id }
func (s *sink) Context() context.Context { return context.Background() }
func (s *sink) Close(error)              {}
func (s *sink) Abort(error)              {}

func (s *sink) Send(*frame.Frame) error {
	s.sent++
	return nil
}

func (s *sink) SendWait(context.Context, *frame.Frame) error {
	s.got <- struct{}{}
	return nil
}

func enter(b testing.TB, h *hub.Hub, s *sink, protocol string) *hub.Session {
	b.Helper()
	session := h.Connect(s, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
	if err := session.Receive([]byte(`{"protocol":"` + protocol + `","version":1}` + "\x1e")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { session.Disconnected(nil) })
	return session
}

func BenchmarkEcho(b *testing.B) {
	for name, record := range map[string]string{
		"json":        call("1", "Text", `"hello"`) + "\x1e",
		"messagepack": "\x12\x96\x01\x80\xa11\xa4Text\x91\xa5hello\x90",
	} {
		for _, depth := range []int{1, 32} {
			b.Run(name+"/"+strconv.Itoa(depth), func(b *testing.B) {
				s := &sink{id: "id", got: make(chan struct{}, depth)}
				session := enter(b, newLab(hub.Options{MaxInvocationsPerSecond: -1}), s, name)
				var batch []byte
				for range depth {
					batch = append(batch, record...)
				}
				b.ReportAllocs()
				for range b.N / depth {
					_ = session.Receive(batch)
					for range depth {
						<-s.got
					}
				}
			})
		}
	}
}

func BenchmarkBroadcast(b *testing.B) {
	const members = 10_000
	h := newLab(hub.Options{MaxInvocationsPerSecond: -1})
	for i := range members {
		id := strconv.Itoa(i)
		enter(b, h, &sink{id: id}, "json")
		_ = h.Groups().Add(b.Context(), id, "all")
	}
	for name, to := range map[string]hub.Sender{"all": h.Clients().All(), "group": h.Clients().Group("all"), "but-one": h.Clients().AllExcept("77")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := to.Send(b.Context(), "M", 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*members), "ns/delivered")
		})
	}
}

// A broadcast allocates for itself, not for those who get it.
func TestBroadcastAllocations(t *testing.T) {
	allocations := func(members int) float64 {
		h := newLab(hub.Options{MaxInvocationsPerSecond: -1})
		for i := range members {
			s := h.Connect(&sink{id: strconv.Itoa(i)}, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
			_ = s.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
			t.Cleanup(func() { s.Disconnected(nil) })
		}
		all := h.Clients().All()
		return testing.AllocsPerRun(20, func() { _ = all.Send(context.Background(), "M", 1) })
	}
	few, many := allocations(1), allocations(2000)
	if many > few+10 { // pools lose something now and then
		t.Errorf("%v allocations for 2000 clients, %v for one", many, few)
	}
}

func BenchmarkConnect(b *testing.B) {
	h := newLab(hub.Options{MaxInvocationsPerSecond: -1})
	hello := []byte(`{"protocol":"json","version":1}` + "\x1e")
	s := &sink{id: "id"}
	b.ReportAllocs()
	for range b.N {
		session := h.Connect(s, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
		_ = session.Receive(hello)
		session.Disconnected(nil)
	}
}

// BenchmarkLongMessage is one message that comes in pieces of 8 KiB. The time of twice the length is twice the time.
func BenchmarkLongMessage(b *testing.B) {
	for _, size := range []int{1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20} {
		b.Run(strconv.Itoa(size>>20)+"MiB", func(b *testing.B) {
			session := enter(b, hub.New(hub.Options{MaxMessageSize: -1}), &sink{}, "json")
			message := []byte(`{"type":6,"x":"` + strings.Repeat("x", size) + "\"}\x1e")
			b.SetBytes(int64(size))
			for b.Loop() {
				for piece := range slices.Chunk(message, 8<<10) {
					if err := session.Receive(piece); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// A long message is looked at once, however small the pieces are in which it comes: a byte that is spoilt after it came is not
// seen. So is the handshake.
func TestReceiveLooksOnce(t *testing.T) {
	for name, prefix := range map[string]string{"handshake": "", "message": `{"protocol":"json","version":1}` + "\x1e"} {
		t.Run(name, func(t *testing.T) {
			s := &sink{}
			session := hub.New(hub.Options{}).Connect(s, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
			defer session.Disconnected(nil)
			if prefix != "" && session.Receive([]byte(prefix)) != nil {
				t.Fatal("no handshake")
			}
			before := s.sent
			for range 10 {
				if err := session.Receive([]byte(`{"type":6,"x":"`)); err != nil {
					t.Fatal(err)
				}
				hub.Spoil(session, 0x1e)
			}
			if s.sent != before {
				t.Error("the ends of earlier pieces were looked at again")
			}
		})
	}
}
