package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/testproc"
)

// startCluster starts three programs that serve the clock together. It returns their addresses for
// each other, and that of the metrics of the first.
func startCluster(t *testing.T, changes ...func(*Config)) (addresses []string, all []*running) {
	t.Helper()
	for range 4 {
		addresses = append(addresses, testproc.FreeAddress())
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(NewClusterSecret()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		all = append(all, start(t, func(c *Config) {
			c.ClusterAddr, c.ClusterPeers, c.ClusterSecretFile = addresses[i], addresses[:3], secret
			if i == 0 {
				c.MetricsAddr = addresses[3]
			}
			for _, change := range changes {
				change(c)
			}
		}))
	}
	return addresses, all
}

// A handshake that one program gets stripped decides the offers of the others. The client that
// negotiates again and again is of an unknown kind, about which no program learns from that.
func TestProgramsLearnTogether(t *testing.T) {
	_, all := startCluster(t)
	stripped := all[0].do(http.MethodGet, "/hubs/clock?id="+all[0].negotiate().ConnectionToken, "",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if text(t, stripped) != "" || stripped.StatusCode != http.StatusBadRequest {
		t.Error(stripped.Status)
	}
	for i, r := range all {
		for end := time.Now().Add(60 * time.Second); r.negotiate().AvailableTransports[0].Transport != "ServerSentEvents"; {
			if time.Now().After(end) {
				t.Fatalf("program %d has not learned it", i)
			}
			time.Sleep(20 * time.Millisecond) // nothing wakes this wait
		}
	}
}

// Three programs serve the clock together: a client that negotiates at one of them connects at
// another one and sends its messages to the third.
func TestThreeProgramsServeOneHub(t *testing.T) {
	addresses, all := startCluster(t)
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			turn := &turns{targets: all, transport: http.DefaultTransport.(*http.Transport).Clone()}
			defer turn.transport.CloseIdleConnections()
			turn.transport.DialContext = turn.dial
			c := client.New("http://hub/hubs/clock", client.Options{
				Transports: []client.Transport{transport}, HTTPClient: &http.Client{Transport: turn.transport}, Memory: client.NewMemory(),
			})
			ticks := make(chan struct{}, 1000)
			c.On("ShowTime", client.Action1(func(context.Context, string) error { ticks <- struct{}{}; return nil }))
			if err := c.Start(ctx); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				select {
				case <-ticks:
				case <-ctx.Done():
					t.Fatal("the clock does not tick")
				}
			}
			if err := c.Stop(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	awaitMetrics(t, "http://"+addresses[3]+"/metrics",
		`carillon_cluster_node_up{address="`+addresses[1]+`"} 1`, `carillon_cluster_node_up{address="`+addresses[2]+`"} 1`,
		`carillon_cluster_events_total{event="handed_over"}`, `carillon_cluster_events_total{event="unreachable"} 0`)
}

// awaitMetrics waits until the metrics contain all lines.
func awaitMetrics(t *testing.T, url string, lines ...string) {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	for end := time.Now().Add(60 * time.Second); ; {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		metrics, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		missing := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(string(metrics), line) })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the metrics do not have %q", missing)
		}
		time.Sleep(50 * time.Millisecond) // nothing wakes this wait
	}
}

// turns dials the programs in turn, with one request on each network connection.
type turns struct {
	transport *http.Transport
	targets   []*running
	next      atomic.Int32
}

func (d *turns) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	target := d.targets[int(d.next.Add(1))%len(d.targets)]
	return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(target.url, "http://"))
}

// A program that other nodes cannot reach any longer says so at once, and ends with an error.
func TestTheListenerForOtherNodesFails(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(NewClusterSecret()), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := make(chan net.Listener, 1)
	r := startWith(t, func(c *Config) {
		c.ClusterAddr = testproc.FreeAddress()
		c.ClusterPeers, c.ClusterSecretFile = []string{c.ClusterAddr}, secret
	}, func(s *Server) {
		s.listen = func(ctx context.Context, addr string) (net.Listener, error) {
			l, err := listen(ctx, addr)
			nodes <- l
			return l, err
		}
	})
	r.do(http.MethodGet, "/healthz", "") // it serves
	_ = (<-nodes).Close()
	err := <-r.ended
	r.ended <- nil
	if err == nil || !strings.Contains(err.Error(), "--cluster-addr: ") {
		t.Errorf("it ended with %v", err)
	}
	if failed, ended, _ := strings.Cut(r.log.String(), `msg="shutting down"`); !strings.Contains(failed, `level=ERROR msg="listener failed" error="--cluster-addr: `) || ended == "" {
		t.Error(r.log)
	}
}
