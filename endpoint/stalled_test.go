package endpoint_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// readers are clients that time what is broadcast to them, in a hub of their own.
type readers struct {
	hub       *hub.Hub
	stalled   []string // ids of their connections
	began     time.Time
	delivered sync.WaitGroup
	latencies [][]time.Duration // of each client
}

// broadcastText makes messages long enough to fill a queue in some thousand broadcasts.
var broadcastText = strings.Repeat("x", 200)

var broadcastMessage = `{"type":1,"target":"M","arguments":["` + broadcastText + `"]}` + "\x1e"

// newReaders connects clients that read, and stalled ones that do not.
func newReaders(b *testing.B, count, stalled int) *readers {
	b.Helper()
	r := &readers{hub: hub.New(hub.Options{SlowConsumers: hub.DropOldest}), latencies: make([][]time.Duration, count)}
	joined := make(chan string, count+stalled)
	r.hub.OnConnected(func(ctx context.Context) error {
		joined <- hub.CallerFrom(ctx).ConnectionID()
		return nil
	})
	e := endpoint.New(r.hub, endpoint.Options{Options: transports.Options{SendTimeout: time.Hour}})
	for i, conn := range benchServer(b, e, count+stalled, upgradeRequest) {
		if _, err := conn.Write(maskedHandshake); err != nil {
			b.Fatal(err)
		}
		readUntil(b, conn, "{}\x1e")
		if id := <-joined; i < stalled {
			r.stalled = append(r.stalled, id)
		} else {
			go r.read(conn, i-stalled)
		}
	}
	return r
}

// fill sends each stalled client as much as its sockets and its queue hold, and more.
func (r *readers) fill(b *testing.B) {
	b.Helper()
	for _, id := range r.stalled {
		for range 50_000 {
			if err := r.hub.Clients().Client(id).Send(b.Context(), "M", broadcastText); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func (r *readers) read(conn net.Conn, i int) {
	const header = 4 // of a WebSocket frame of this size
	for buf := make([]byte, header+len(broadcastMessage)); ; {
		if _, err := io.ReadFull(conn, buf); err != nil {
			return
		}
		r.latencies[i] = append(r.latencies[i], time.Since(r.began))
		r.delivered.Done()
	}
}

// broadcast sends one message and waits until all that read have it.
func (r *readers) broadcast(b *testing.B) {
	b.Helper()
	r.delivered.Add(len(r.latencies))
	r.began = time.Now()
	if err := r.hub.Clients().All().Send(b.Context(), "M", broadcastText); err != nil {
		b.Fatal(err)
	}
	r.delivered.Wait()
}

func (r *readers) percentile(share float64) time.Duration {
	all := slices.Concat(r.latencies...)
	slices.Sort(all)
	return all[int(share*float64(len(all)-1))]
}

// Ten of a thousand clients stop reading: how much later than without them the others
// get what is broadcast, and what each of the ten costs.
func BenchmarkStalledReaders(b *testing.B) {
	const clients, stalled, broadcasts = 1000, 10, 100
	without := newReaders(b, clients-stalled, 0)
	with := newReaders(b, clients-stalled, stalled)
	before := held()
	with.fill(b)
	grown := held() - before
	for b.Loop() {
		for range broadcasts { // alternately, so that what else goes on strikes both
			without.broadcast(b)
			with.broadcast(b)
		}
	}
	alone, beside := without.percentile(0.99), with.percentile(0.99)
	b.ReportMetric(float64(alone.Microseconds())/1000, "p99-ms-without")
	b.ReportMetric(float64(beside.Microseconds())/1000, "p99-ms-with")
	b.ReportMetric(float64(beside)/float64(alone), "p99-ratio")
	b.ReportMetric(float64(grown)/stalled/(1<<20), "MiB/stalled")
	runtime.KeepAlive(with)
}
