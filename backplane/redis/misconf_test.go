//go:build unix

package redis

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// A server that cannot save its data refuses PING. It passes on publications as before, and
// channels are subscribed and unsubscribed.
func TestServerThatCannotSave(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var log testproc.Output
	b := s.broker(Options{Logger: logger(&log)})
	var in inbox
	if err := b.Subscribe(t.Context(), &in, "a", "b"); err != nil {
		t.Fatal(err)
	}
	_, dir, _ := strings.Cut(s.Do("CONFIG", "GET", "dir"), "\n")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s.Do("SET", "key", "value")
	s.Do("CONFIG", "SET", "save", "3600 1")
	s.Do("BGSAVE")
	s.eventually("PING is refused", func() bool {
		out, _ := exec.Command("redis-cli", "-u", s.URL(), "PING").CombinedOutput()
		return strings.Contains(string(out), "MISCONF")
	})
	b.Unsubscribe("a")
	if err := b.Subscribe(t.Context(), &in, "c"); err != nil {
		t.Fatal(err)
	}
	if n := publish(t, b, "x", "b"); n != 1 {
		t.Errorf("%d receivers", n)
	}
	s.eventually("it receives", func() bool { return in.text() == "b=x" })
	s.eventually("the channel is unsubscribed", func() bool { return publish(t, b, "x", "a") == 0 })
	if lines := losses(&log); len(lines) > 0 {
		t.Errorf("losses: %q", lines)
	}
}
