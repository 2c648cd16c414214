//go:build !race

package longpolling

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/poller"
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

	s := &server{Server: &http.Server{}, lines: newLines(poller.New(new(sync.WaitGroup))), open: map[*line]struct{}{}}
	l := s.add(conn, nil, &http.Request{RequestURI: "/hub"})
	p := &poll{line: l}
	frames := []*frame.Frame{frame.New([]byte(`{"type":1,"target":"ShowTime","arguments":["2026-01-01T00:00:00.0000000Z"]}`), false)}
	header := http.Header{"Cache-Control": {"no-cache"}}
	answered := true
	n := testing.AllocsPerRun(200, func() {
		l.offer(p, header)
		answered = p.TryAnswer(frames) && answered
	})
	if n != 0 || !answered {
		t.Errorf("%v allocations for an answer; answered: %v", n, answered)
	}
}
