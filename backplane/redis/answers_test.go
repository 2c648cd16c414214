//go:build unix

package redis

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/internal/testproc"
)

// standIn answers commands in the place of a server. answer returns the bytes for a command, or ""
// for those of a server with one subscriber.
type standIn struct {
	addr   string
	answer func(command []string) string
	broken atomic.Bool // answer is asked
}

func newStandIn(t *testing.T, answer func(command []string) string) *standIn {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{addr: l.Addr().String(), answer: answer}
	var running sync.WaitGroup
	t.Cleanup(func() { // after the broker has closed its connections
		l.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(c) })
		}
	})
	return s
}

// serve answers commands until the connection ends.
func (s *standIn) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := readReply(in, 1)
		if err != nil {
			return
		}
		var command []string
		for _, item := range r.items {
			command = append(command, string(item.text))
		}
		answer := ""
		if s.broken.Load() {
			answer = s.answer(command)
		}
		if answer == "" {
			answer = rightAnswer(command)
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func rightAnswer(command []string) string {
	switch kind := command[0]; kind {
	case "SUBSCRIBE", "UNSUBSCRIBE":
		var out []byte
		for _, channel := range command[1:] {
			out = appendBulk(appendBulk(appendHead(out, '*', 3), strings.ToLower(kind)), channel)
			out = appendHead(out, ':', 1)
		}
		return string(out)
	case "PUBLISH":
		return ":1\r\n"
	}
	return "-ERR unknown command\r\n"
}

// asPushes answers subscriptions as a server does that speaks RESP3.
func asPushes(command []string) string {
	if !strings.HasSuffix(command[0], "SUBSCRIBE") {
		return ""
	}
	return strings.ReplaceAll(rightAnswer(command), "*3", ">3") + ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n_\r\n"
}

// Whatever a server answers: the broker goes on. It is lost if the answer cannot be that of a server
// which serves it, the log has the reason, and it is back when the server is well.
func TestAnswersOfServersThatAreNotWell(t *testing.T) {
	t.Parallel()
	to := func(command, answer string) func([]string) string {
		return func(c []string) string {
			if c[0] != command {
				return ""
			}
			return answer
		}
	}
	after := func(command, more string) func([]string) string {
		return func(c []string) string {
			if c[0] != command {
				return ""
			}
			return rightAnswer(c) + more
		}
	}
	const message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n"
	for name, fault := range map[string]struct {
		answer func([]string) string
		reason string // of the loss
	}{
		"a script runs":                    {to("PUBLISH", "-BUSY Redis is busy running a script.\r\n"), "BUSY"},
		"the data is loaded":               {to("PUBLISH", "-LOADING Redis is loading the dataset in memory\r\n"), "LOADING"},
		"nothing can be saved":             {to("PUBLISH", "-MISCONF Redis is configured to save RDB snapshots\r\n"), "MISCONF"},
		"a replica":                        {to("PUBLISH", "-READONLY You can't write against a read only replica.\r\n"), "READONLY"},
		"a replica without its master":     {to("UNSUBSCRIBE", "-MASTERDOWN Link with MASTER is down\r\n"), "MASTERDOWN"},
		"a node of a cluster":              {to("PUBLISH", "-MOVED 1234 127.0.0.1:7001\r\n"), "MOVED"},
		"a password is wanted":             {to("SUBSCRIBE", "-NOAUTH Authentication required.\r\n"), "NOAUTH"},
		"subscribing is not allowed":       {to("SUBSCRIBE", "-NOPERM No permissions to access a channel\r\n"), "NOPERM"},
		"too many clients":                 {to("SUBSCRIBE", "-ERR max number of clients reached\r\n"), "max number"},
		"publications have text answers":   {to("PUBLISH", "+OK\r\n"), errProtocol.Error()},
		"an answer too many":               {after("PUBLISH", ":1\r\n"), errProtocol.Error()},
		"a refusal too many":               {after("PUBLISH", "-ERR upstream failure\r\n"), "upstream failure"},
		"a number for a subscription":      {to("SUBSCRIBE", ":1\r\n"), errProtocol.Error()},
		"an answer of another protocol":    {to("SUBSCRIBE", "%1\r\n$9\r\nsubscribe\r\n$1\r\na\r\n"), errProtocol.Error()},
		"a page":                           {to("PUBLISH", "HTTP/1.1 400 Bad Request\r\n\r\n"), errProtocol.Error()},
		"an endless line":                  {to("PUBLISH", strings.Repeat("x", 1<<20)), errProtocol.Error()},
		"an endless string":                {to("PUBLISH", "$99999999999\r\n"), errProtocol.Error()},
		"an endless array":                 {to("SUBSCRIBE", "*99999999999\r\n"), errProtocol.Error()},
		"deep arrays":                      {to("SUBSCRIBE", strings.Repeat("*1\r\n", 100)), errProtocol.Error()},
		"an array without an end":          {to("SUBSCRIBE", "*-2\r\n"), errProtocol.Error()},
		"the end of a message is missing":  {after("SUBSCRIBE", message+"textXX"), errProtocol.Error()},
		"confirmations of other channels":  {to("SUBSCRIBE", rightAnswer([]string{"SUBSCRIBE", "x", "y"})), errUnconfirmed.Error()},
		"no confirmations":                 {to("SUBSCRIBE", message+"text\r\n"), errUnconfirmed.Error()},
		"subscriptions that end":           {after("SUBSCRIBE", rightAnswer([]string{"UNSUBSCRIBE", "a"})), ""},
		"pushes":                           {asPushes, ""},
		"something else is said":           {after("SUBSCRIBE", "*3\r\n$4\r\nnews\r\n*-1\r\n:1\r\n"), ""},
		"a message of an unknown channel":  {after("SUBSCRIBE", strings.Replace(message, "a", "b", 1)+"text\r\n"), ""},
		"a message of a null channel":      {after("SUBSCRIBE", strings.Replace(message, "$1\r\na", "$-1", 1)+"text\r\n"), ""},
		"publishing is not allowed":        {to("PUBLISH", "-NOPERM No permissions to access a channel\r\n"), ""},
		"a publication reaches other ones": {to("PUBLISH", ":1000000\r\n"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newStandIn(t, fault.answer)
			var log testproc.Output
			s := &server{t: t}
			b := s.broker(Options{URL: "redis://" + in.addr, Logger: logger(&log)})
			var got inbox
			want := func(channels ...string) {
				if err := b.Subscribe(t.Context(), &got, channels...); err != nil {
					t.Error(err)
				}
			}
			want("a")
			s.eventually("the broker is connected", func() bool { return strings.Contains(log.String(), "Redis available") })
			in.broken.Store(true)
			b.Unsubscribe("a")
			want("b", "c")
			_, err := b.Publish(t.Context(), []byte("x"), "b")
			if refused := fault.reason == "" && name == "publishing is not allowed"; refused != (err != nil && !errors.Is(err, backplane.ErrLost) && !errors.Is(err, backplane.ErrUnavailable)) {
				t.Errorf("publishing: %v", err)
			}
			if fault.reason != "" {
				s.eventually("the loss is logged", func() bool { return strings.Contains(log.String(), fault.reason) })
			}
			in.broken.Store(false)
			s.eventually("the broker is connected", func() bool { state := b.State(); return !state.Degraded && state.Subscribed == 3 })
			if lines := losses(&log); (len(lines) > 0) != (fault.reason != "") {
				t.Errorf("losses: %q", lines)
			}
		})
	}
}

// A reply is read as a whole, and nothing of the next one.
func FuzzReply(f *testing.F) {
	for _, text := range []string{
		"+OK\r\n", "-ERR x\r\n", ":-12\r\n", "$-1\r\n", "$0\r\n\r\n", "$3\r\na\r\n\r\n", "*-1\r\n", "*0\r\n", "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
		"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n", "$4\r\nabc\r\n", "*1\r\n", ":x\r\n", ":\n", "\r\n", "+a\rb\r\n", "$536870913\r\n", ">1\r\n_\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readReply(bufio.NewReaderSize(bytes.NewReader(data), 64), maxDepth)
		if err != nil {
			return
		}
		again, err := readReply(bufio.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader("+next\r\n"))), maxDepth)
		if err != nil || !same(&r, &again) {
			t.Errorf("%q: %+v, then %+v, %v", data, r, again, err)
		}
	})
}

func same(a, b *reply) bool {
	if a.kind != b.kind || !bytes.Equal(a.text, b.text) || a.number != b.number || len(a.items) != len(b.items) {
		return false
	}
	for i := range a.items {
		if !same(&a.items[i], &b.items[i]) {
			return false
		}
	}
	return true
}
