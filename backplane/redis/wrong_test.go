//go:build unix

package redis

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// A server that speaks RESP3 and confirms subscriptions as in RESP2 is unavailable, and the
// log says how to use it.
func TestServerWithWrongConfirmations(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { answerWrongly(c) })
		}
	})
	var log testproc.Output
	s := &server{t: t}
	b := s.broker(Options{URL: "redis://" + l.Addr().String(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	t.Cleanup(func() {
		b.Close()
		l.Close()
		running.Wait()
	})
	var in inbox
	if err := b.Subscribe(t.Context(), &in, "a", "b", "c"); err != nil { // returns when the broker is degraded
		t.Fatal(err)
	}
	s.eventually("the reason is logged", func() bool { return strings.Contains(log.String(), "protocol=2") })
}

// answerWrongly answers commands until the connection ends.
func answerWrongly(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		answer := "+PONG\r\n"
		switch command[0] {
		case "HELLO":
			answer = "%2\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n"
		case "SUBSCRIBE":
			answer = ""
			for i, channel := range command[1:] {
				answer += fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n", len(channel), channel, i+1)
			}
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// readCommand reads an array of strings.
func readCommand(r *bufio.Reader) ([]string, error) {
	number := func(kind string) (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, kind)))
	}
	n, err := number("*")
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		length, err := number("$")
		if err != nil {
			return nil, err
		}
		text := make([]byte, length+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:length])
	}
	return command, nil
}
