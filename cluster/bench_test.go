//go:build unix

package cluster

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
)

// BenchmarkClaim claims negotiations of one node for another one, over TCP and TLS. It reports the
// CPU time of both ends, for one request at a time and for some that come together.
func BenchmarkClaim(b *testing.B) {
	for _, together := range []int{1, 8, 60} {
		b.Run(fmt.Sprint(together), func(b *testing.B) {
			home, owner := newPair(b)
			tokens := make([]string, b.N)
			for i := range tokens {
				tokens[i] = home.promise(nil)
			}
			next := make(chan string, together)
			var running sync.WaitGroup
			before := cpuTime()
			b.ReportAllocs()
			b.ResetTimer()
			for range together {
				running.Go(func() {
					request := httptest.NewRequest(http.MethodGet, "/chat", nil)
					for token := range next {
						if forward, err := owner.hub.Find(request, token, claimer{owner}); forward != nil || err != nil {
							b.Error(err)
						}
					}
				})
			}
			for _, token := range tokens {
				next <- token
			}
			close(next)
			running.Wait()
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
			if got := owner.hub.node.Stats().Claimed; got != b.N {
				b.Errorf("%d of %d claimed", got, b.N)
			}
		})
	}
}

// newPair returns the registries of two nodes of one cluster.
func newPair(b *testing.B) (home, owner *registry) {
	secret := randomSecret()
	var both [2]*registry
	for i := range both {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		node, err := New(Options{Secrets: [][]byte{secret}, Advertise: l.Addr().String(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		both[i] = newRegistry("", node.Hub(testHub))
		served := make(chan error, 1)
		go func() { served <- node.Serve(l) }()
		b.Cleanup(func() {
			if err := node.Shutdown(b.Context()); err != nil && b.Context().Err() == nil {
				b.Error(err)
			}
			if err := <-served; err != nil {
				b.Error(err)
			}
		})
	}
	return both[0], both[1]
}

// cpuTime returns the nanoseconds of CPU time that this process has used.
func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails with these arguments
	return u.Utime.Nano() + u.Stime.Nano()
}
