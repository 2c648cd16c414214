//go:build !race

package longpolling

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/poller"
	"github.com/carillon-go/carillon/transports/longpolling/internal/reentry"
)

// An answer to a poll that waits costs a system call and no memory.
func TestAnswerAllocations(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, client) }() // until the client is closed

	ctx := context.WithValue(t.Context(), http.ServerContextKey, &http.Server{})
	r := (&http.Request{RequestURI: "/hub"}).WithContext(ctx)
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Cache-Control", "no-cache")
	w := reentry.New(poller.New(new(sync.WaitGroup))).Take(recorder, r,
		func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return conn, bufio.NewReadWriter(bufio.NewReader(conn), nil), nil
		})
	p := &parkedPoll{conn: w.Conn()}
	frames := []*frame.Frame{frame.New([]byte(`{"type":1,"target":"ShowTime","arguments":["2026-01-01T00:00:00.0000000Z"]}`), false)}
	answered := true
	n := testing.AllocsPerRun(200, func() {
		w.Park(p, time.Minute)
		_, sent := p.TryAnswer(frames)
		answered = answered && sent
	})
	if n != 0 || !answered {
		t.Errorf("%v allocations for an answer; answered: %v", n, answered)
	}
}
