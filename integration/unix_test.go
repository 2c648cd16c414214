package integration_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/integration/middlebox"
	"github.com/carillon-go/carillon/internal/testproc"
)

// A gateway on a Unix socket behind nginx serves every transport, and its rules mean the clients that nginx names.
func TestUnixSocketBehindNginx(t *testing.T) {
	dir, err := os.MkdirTemp("", "unix") //nolint:usetesting // nginx may not enter the folders above t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	p, err := testproc.Start("unix:"+path, build(t, "../cmd/gateway"), "--trusted-proxies=unix", "--rule=192.0.2.0/24=LongPolling", "--interval=20ms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.End(); err != nil {
			t.Error(err)
		}
	})
	for file, mode := range map[string]os.FileMode{dir: 0o755, path: 0o666} { // nginx is in another group here
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	kind, err := middlebox.ByName("N2")
	if err != nil {
		t.Fatal(err)
	}
	hub := kind.Start(t, "unix:"+path+":").URL + "/hubs/clock"
	for address, offered := range map[string][]client.Transport{
		"203.0.113.1": {client.WebSockets, client.ServerSentEvents, client.LongPolling},
		"192.0.2.1":   {client.LongPolling},
	} {
		for _, transport := range offered {
			ticks := make(chan struct{}, 1)
			o := client.Options{Header: http.Header{"X-Forwarded-For": {address}}, Memory: client.NewMemory()}
			if len(offered) > 1 {
				o.Transports = []client.Transport{transport}
			}
			c := client.New(hub, o)
			c.On("ShowTime", client.Action1(func(context.Context, string) error {
				select {
				case ticks <- struct{}{}:
				default:
				}
				return nil
			}))
			if err := c.Start(t.Context()); err != nil {
				t.Errorf("%s from %s: %v", transport, address, err)
				continue
			}
			select {
			case <-ticks:
			case <-time.After(time.Minute):
				t.Errorf("%s: nothing comes", transport)
			}
			if got := c.Transport(); got != transport {
				t.Errorf("%s from %s, want %s", got, address, transport)
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
