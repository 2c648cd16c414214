//go:build linux

package cluster_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/cluster"
)

var floodTime = flag.Duration("cluster.flood", time.Second, "time for which TestTokenFlood sends made-up tokens")

func (n *nodes) stats(t *testing.T, i int) (s cluster.Stats) {
	t.Helper()
	if _, body := send(http.MethodGet, "http://"+n.addresses[i]+"/cluster-stats", nil); json.Unmarshal(body, &s) != nil {
		t.Fatalf("%s", body)
	}
	return s
}

func (n *nodes) allStats(t *testing.T) (all [nodeCount]cluster.Stats) {
	t.Helper()
	for i := range all {
		all[i] = n.stats(t, i)
	}
	return all
}

func (n *nodes) mustNegotiate(t *testing.T, i int, path string) (token string) {
	t.Helper()
	token, err := n.negotiate(i, path)
	if err != nil || token == "" {
		t.Fatal("no negotiation: ", err)
	}
	return token
}

// madeUp returns a token that no node has sealed.
func madeUp() string {
	b := make([]byte, 60)
	_, _ = rand.Read(b) // never fails
	b[0] = 1            // the version
	return base64.RawURLEncoding.EncodeToString(b)
}

// A bad token is answered like an unknown one at a single node, whatever is wrong with it, and
// no node asks another one about it.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	n, foreign := startNodes(t, testHub(t)), startNodes(t, testHub(t))
	token := n.mustNegotiate(t, home, "/testhub")
	last := []byte(token)
	last[len(last)-2] ^= 1
	bad := map[string]string{
		"of another cluster": foreign.mustNegotiate(t, home, "/testhub"), "of another hub": n.mustNegotiate(t, home, "/echo"),
		"made up": madeUp(), "truncated": token[:len(token)-4], "longer": token + "AAAA", "changed": string(last), "of one node": "AAAAAAAAAAAAAAAAAAAAAA",
		"not base64": strings.Repeat("%25", 80), "long": strings.Repeat("A", 2000), "twice": token + "&id=" + token,
	}
	before := n.allStats(t)
	for name, id := range bad {
		for i := range nodeCount {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				status, body := send(method, "http://"+n.addresses[i]+"/testhub?id="+id, nil)
				if status != http.StatusNotFound || string(body) != "No Connection with that ID" {
					t.Errorf("%s of a token %s: %d %q", method, name, status, body)
				}
			}
			if status := n.handshake(t, i, "/testhub?id="+id); status != http.StatusNotFound {
				t.Errorf("handshake with a token %s: %d", name, status)
			}
		}
	}
	if after := n.allStats(t); after != before {
		t.Errorf("%+v after %+v", after, before)
	}
	if status := n.handshake(t, owner, "/testhub?id="+token); status != http.StatusSwitchingProtocols {
		t.Errorf("the good token: %d", status)
	}
}

// handshake returns the status of the answer to a WebSocket handshake.
func (n *nodes) handshake(t *testing.T, i int, target string) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.addresses[i]+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// Made-up tokens cost only the node that they are sent to, and connections there notice nothing.
func TestTokenFlood(t *testing.T) {
	t.Parallel()
	n := startNodes(t, testHub(t))
	l := newLife(t, "http://"+n.addresses[forwarder], client.WebSockets, false)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sending sync.WaitGroup
	sending.Go(func() { l.send(ctx) })
	before := n.allStats(t)
	begun := time.Now()
	var refused atomic.Int64
	var flooding sync.WaitGroup
	for range 8 {
		flooding.Go(func() { flood(t, n.addresses[forwarder], begun.Add(*floodTime), &refused) })
	}
	flooding.Wait()
	t.Logf("%d made-up tokens, %.0f a second", refused.Load(), float64(refused.Load())/time.Since(begun).Seconds())
	if after := n.allStats(t); after != before {
		t.Errorf("%+v after %+v", after, before)
	}
	stop()
	sending.Wait()
	l.finish(t, true)
}

// flood sends requests with made-up tokens until a time, 100 at once, and counts those that are
// answered 404.
func flood(t *testing.T, address string, until time.Time, refused *atomic.Int64) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	answers := bufio.NewReader(c)
	for time.Now().Before(until) {
		var requests strings.Builder
		for range 100 {
			_, _ = fmt.Fprintf(&requests, "GET /testhub?id=%s HTTP/1.1\r\nHost: h\r\n\r\n", madeUp())
		}
		if _, err := io.WriteString(c, requests.String()); err != nil {
			t.Error(err)
			return
		}
		for range 100 {
			answer, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			if answer.StatusCode != http.StatusNotFound {
				t.Errorf("status %d", answer.StatusCode)
				return
			}
			refused.Add(1)
		}
	}
}

// Tokens of a node that is lost make others ask all nodes once in two seconds at most.
func TestTokensOfALostNode(t *testing.T) {
	t.Parallel()
	n := startNodes(t, testHub(t))
	n.awaitMembers(t)
	const tokens, times = 10, 30
	var all []string
	for range tokens {
		all = append(all, n.mustNegotiate(t, home, "/testhub"))
	}
	n.kill(home)
	before := n.stats(t, forwarder).Asked
	begun := time.Now()
	for range times {
		for _, token := range all {
			if status, _ := send(http.MethodGet, "http://"+n.addresses[forwarder]+"/testhub?id="+token, nil); status != http.StatusNotFound {
				t.Fatalf("status %d", status)
			}
		}
	}
	took := time.Since(begun)
	asked := n.stats(t, forwarder).Asked - before
	t.Logf("%d requests in %s, asked all nodes %d times", tokens*times, took, asked)
	if most := tokens * (1 + int(took/(2*time.Second))); asked > most {
		t.Errorf("want %d times at most", most)
	}
}
