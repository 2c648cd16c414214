package cluster

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// When the forwarding node drains, its polls end with the answer that the owner gives at a
// time-out, and nothing is lost.
func TestDrainEndsForwardedPolls(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 10)
	owner, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		if err := r.Context().Err(); errors.Is(err, context.DeadlineExceeded) {
			w.Header()["Content-Length"] = []string{"0"}
			return
		}
		w.WriteHeader(http.StatusGone)
	})
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() { other.expect(t, "200", http.MethodGet, token, "") })
	}
	for range 3 {
		<-arrived
	}
	other.hub.Drain()
	other.hub.Drain()
	waiting.Wait()
	other.expect(t, "200", http.MethodGet, token, "") // after a moment
	await(t, "the end of the requests", func() bool {
		owner.hub.waits.mu.Lock()
		defer owner.hub.waits.mu.Unlock()
		return len(owner.hub.waits.byPID) == 0 && len(other.hub.forwardsTo.processes()) == 0
	})
}

// An event stream that another node passes on breaks when that node drains, and its client
// connects again.
func TestDrainCutsStreams(t *testing.T) {
	t.Parallel()
	_, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, other.front.URL+"/chat?id="+token, nil)
	response, err := other.front.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); line != "data: 1\n" {
		t.Errorf("%q, %v", line, err)
	}
	other.hub.Drain()
	if _, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Error("the stream ends as if it was complete")
	}
}

// A POST goes on when the forwarding node drains: its data was sent once and must arrive.
func TestDrainLeavesPosts(t *testing.T) {
	t.Parallel()
	arrived, drained := make(chan struct{}), make(chan struct{})
	owner, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-drained
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusGone)
		}
	})
	var sending sync.WaitGroup
	sending.Go(func() { other.expect(t, "200", http.MethodPost, token, "x") })
	<-arrived
	other.hub.Drain()
	await(t, "the drain at the owner", func() bool {
		from := other.hub.node.self.pid
		owner.hub.waits.mu.Lock()
		defer owner.hub.waits.mu.Unlock()
		return owner.hub.waits.drained.get(string(from[:]))
	})
	close(drained)
	sending.Wait()
}

// The handshake of a WebSocket goes on when the forwarding node drains. If it failed, the client would
// not try to resume its connection again.
func TestDrainLeavesHandshakes(t *testing.T) {
	t.Parallel()
	arrived, drained := make(chan struct{}), make(chan struct{})
	_, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-drained
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _, _ = c.ReadMessage()
	})
	go func() {
		defer close(drained)
		<-arrived
		other.hub.Drain()
	}()
	c, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(other.front.URL, "http")+"/chat?id="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
