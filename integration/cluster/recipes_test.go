//go:build linux

package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/integration/middlebox"
)

// recipe is a configuration of a balancer in deploy/.
type recipe struct{ program, file, listen, hash, roundRobin string }

var recipes = []recipe{
	{"haproxy", "haproxy/haproxy.cfg", "bind :", "balance url_param id\n  hash-type consistent\n", "balance roundrobin\n"},
	{"nginx", "nginx/nginx.conf", "listen ", "hash $arg_id consistent;\n", "\n"},
}

// patient lets the checks of HAProxy wait for a busy machine.
func patient(config string) string {
	return strings.Replace(config, "timeout check 2s", "timeout check 20s", 1)
}

// start starts the balancer in front of nodes, with the hash of the recipe or without it.
func (r recipe) start(t *testing.T, n *nodes, hash bool) (url string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + r.file)
	if err != nil {
		t.Fatal(err)
	}
	config := patient(string(text))
	replace := func(old, by string) {
		if !strings.Contains(config, old) {
			t.Fatalf("%s does not contain %q", r.file, old)
		}
		config = strings.Replace(config, old, by, 1)
	}
	replace(r.listen+"8080", strings.TrimSuffix(r.listen, ":")+"127.0.0.1:$PORT")
	for i, address := range n.addresses {
		replace(fmt.Sprint("127.0.0.1:808", i+1), address)
	}
	if !hash {
		replace(r.hash, r.roundRobin)
	}
	return middlebox.Configured(r.program, config).Start(t, n.addresses[0]).URL
}

// With a hash of the id in the query all requests of a connection arrive at one node, while
// negotiations are spread. While a node drains, clients connect.
func TestBalancerRecipes(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.program, func(t *testing.T) {
			t.Parallel()
			n := startNodes(t, build(t, "../../cmd/gateway"), "--path", "/echo", "--interval", "200ms", "--drain", "5s", "--shutdown-timeout", "20s", "--metrics-addr", "127.0.0.1:0")
			n.awaitMembers(t)
			forwarded := map[bool]int{}
			for _, hash := range []bool{false, true} {
				url := r.start(t, n, hash) + "/echo"
				before, homes := n.events(t, "forwarded"), n.events(t, "handed_over")
				ticks(t, url)
				spread := 0
				for i, after := range n.events(t, "forwarded") {
					forwarded[hash] += after - before[i]
				}
				for i, after := range n.events(t, "handed_over") {
					spread += min(after-homes[i], 1)
				}
				if spread < 2 {
					t.Errorf("hash %v: all negotiations arrive at one node", hash)
				}
				if hash {
					n.connectDuringDrain(t, url)
				}
			}
			t.Logf("forwarded requests: %d with round robin, %d with a hash", forwarded[false], forwarded[true])
			if forwarded[false] < 20 || forwarded[true] > forwarded[false]/4 {
				t.Errorf("%d forwarded requests with round robin, %d with a hash", forwarded[false], forwarded[true])
			}
		})
	}
}

// A balancer ends the request for an event stream when its client goes. HAProxy may otherwise keep
// it until the node writes, which is its next ping: then a stream that was opened earlier is pinged.
func TestBalancerRecipesPassOnTheEnd(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.program, func(t *testing.T) {
			t.Parallel()
			n := startNodes(t, build(t, "../../cmd/gateway"), "--path", "/echo", "--interval", "1h", "--drain", "0s", "--metrics-addr", "127.0.0.1:0")
			url := r.start(t, n, true) + "/echo"
			stays, goes := openEventStream(t, url), openEventStream(t, url)
			pinged := make(chan struct{})
			go func() {
				defer close(pinged)
				for lines := bufio.NewScanner(stays); lines.Scan() && lines.Text() != `data: {"type":6}`+"\x1e"; {
				}
			}()
			_ = goes.Close()
			eventually(t, "the end of the stream", func() bool {
				open := n.metric(t, "carillon_connections")
				return open[0]+open[1]+open[2] == 1
			})
			select {
			case <-pinged:
				t.Error("a node notices the end when it pings the client")
			default:
			}
			_ = stays.Close()
			<-pinged
		})
	}
}

// openEventStream connects, and returns the stream after the handshake. Its Close ends the network connection.
func openEventStream(t *testing.T, url string) io.ReadCloser {
	t.Helper()
	_, body := send(http.MethodPost, url+"/negotiate?negotiateVersion=1", nil)
	var answer struct{ ConnectionToken string }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	url += "?id=" + answer.ConnectionToken
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := send(http.MethodPost, url, strings.NewReader(`{"protocol":"json","version":1}`+"\x1e")); status != http.StatusOK {
		t.Fatalf("handshake: %d %s", status, body)
	}
	return response.Body
}

// ticks opens connections of each transport and waits until each has received 20 ticks.
func ticks(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const each = 4
	var missing atomic.Int64
	var all []*client.HubConnection
	for range each {
		for _, transport := range everyTransport {
			c := client.New(url, client.Options{Transports: []client.Transport{transport}, Memory: client.NewMemory(), HandshakeTimeout: patience})
			var heard atomic.Int64
			c.On("ShowTime", client.Action1(func(context.Context, string) error {
				if heard.Add(1) == 20 {
					missing.Add(-1)
				}
				return nil
			}))
			missing.Add(1)
			if err := c.Start(ctx); err != nil {
				t.Fatal(transport, err)
			}
			all = append(all, c)
		}
	}
	eventually(t, "ticks", func() bool { return missing.Load() == 0 })
	for _, c := range all {
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

// events returns the number of one kind of events at each node.
func (n *nodes) events(t *testing.T, kind string) (all [nodeCount]int) {
	t.Helper()
	return n.metric(t, `carillon_cluster_events_total{event="`+kind+`"}`)
}

// metric returns the value of a metric of each node.
func (n *nodes) metric(t *testing.T, name string) (all [nodeCount]int) {
	t.Helper()
	for i, p := range n.all {
		address := regexp.MustCompile(`msg="serving metrics" address=(\S+)`).FindStringSubmatch(p.Output.String())
		if address == nil {
			t.Fatal("no metrics: ", p.Output.String())
		}
		_, metrics := send(http.MethodGet, "http://"+address[1]+"/metrics", nil)
		value := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)`).FindSubmatch(metrics)
		if value == nil {
			t.Fatalf("no %s in %s", name, metrics)
		}
		all[i], _ = strconv.Atoi(string(value[1]))
	}
	return all
}

// connectDuringDrain ends a node, and connects until it has ended.
func (n *nodes) connectDuringDrain(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := n.all[owner]
	n.all[owner] = nil
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	count := 0
	for ; p.Running(); count++ {
		time.Sleep(20 * time.Millisecond) // leaves time to the balancer and the nodes
		c := client.New(url, client.Options{Transports: everyTransport[count%3 : count%3+1], Memory: client.NewMemory(), HandshakeTimeout: patience})
		if err := c.Start(ctx); err != nil {
			t.Error(everyTransport[count%3], err)
			break
		}
		_ = c.Stop(ctx) // its node may end
	}
	t.Logf("%d connections during the drain", count)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}
