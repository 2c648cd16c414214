//go:build linux

// Package appserver_test runs clients of real ASP.NET Core applications on the Azure SignalR SDK,
// whose connections this module holds.
package appserver_test

import (
	"context"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/appserver"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/serviceclient"
	"github.com/carillon-go/carillon/internal/testproc"
)

var long = flag.Bool("appserver-long", false, "run the long form of the tests")

// reference returns a program of the original, or skips the test.
func reference(t *testing.T, name string) string {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("../../../shared/reference", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("there is no build of the original:", err)
	}
	return program
}

// service holds the clients of application servers, of all hubs.
type service struct {
	*httptest.Server
	key      string
	takeover appserver.Takeover
	log      *slog.Logger

	mu   sync.Mutex
	hubs map[string]*served
}

type served struct {
	hosted  *hosting.Hub
	servers *appserver.Servers
	clients http.Handler
}

func newService(t *testing.T, takeover appserver.Takeover) *service {
	t.Helper()
	s := &service{key: accesskey.New(), takeover: takeover, hubs: map[string]*served{}, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	keys, err := accesskey.Parse([]string{s.key}, nil, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	service := appserver.New(appserver.Options{
		Servers: func(name string) (*appserver.Servers, *accesskey.Keys) { return s.hub(name, keys).servers, keys },
	})
	clients := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hub(r.URL.Query().Get("hub"), keys).clients.ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	mux.Handle("/server/", service)
	mux.Handle("/client/", clients)
	mux.Handle("/client", clients)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := service.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s
}

// hub returns the hub with a name.
func (s *service) hub(name string, keys *accesskey.Keys) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.ToLower(name)
	if h := s.hubs[name]; h != nil {
		return h
	}
	servers := appserver.NewServers(appserver.ServersOptions{Takeover: s.takeover, Logger: s.log})
	hosted := hosting.New(name, hosting.Options{Options: hub.Options{Relay: servers, Logger: s.log}})
	hosted.SetKeys(keys)
	servers.Attach(hosted)
	o := endpoint.Recommended()
	o.Logger = s.log
	h := &served{hosted: hosted, servers: servers, clients: serviceclient.New(hosted, o, servers.Ready)}
	s.hubs[name] = h
	return h
}

// application is an application server in a process of its own.
type application struct {
	url    string
	args   []string
	cmd    *exec.Cmd
	output *testproc.Output
	ended  chan error
}

// start starts an application whose clients s holds.
func (s *service) start(t *testing.T, program string, args ...string) *application {
	t.Helper()
	return startApplication(t, s.URL, s.key, program, "testhub", args...)
}

// startApplication starts a role of program, whose clients the service at url holds.
func startApplication(t *testing.T, url, key, program, role string, args ...string) *application {
	t.Helper()
	addr := testproc.FreeAddress()
	connection := "Endpoint=" + url + ";AccessKey=" + key + ";Version=1.0;"
	a := &application{url: "http://" + addr, args: append([]string{program, role, "-addr", addr, "-azure", connection}, args...)}
	a.again(t)
	t.Cleanup(func() {
		_ = a.kill()
		if t.Failed() {
			t.Logf("the application said: %s", tail(a.output.String()))
		}
	})
	return a
}

// again starts the application and waits until it listens.
func (a *application) again(t *testing.T) {
	t.Helper()
	a.output, a.ended = &testproc.Output{}, make(chan error, 1)
	a.cmd = exec.Command(a.args[0], a.args[1:]...)
	a.cmd.Stdout, a.cmd.Stderr = a.output, a.output
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.ended <- a.cmd.Wait() }()
	waitFor(t, func() bool {
		if len(a.ended) > 0 {
			t.Fatalf("the application ended at once: %s", tail(a.output.String()))
		}
		return strings.Contains(a.output.String(), "listening")
	})
}

// waitFor waits until a condition holds. It fails the test after a minute.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("waited for a minute")
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // polls the state of another process
	}
}

func (a *application) kill() error {
	err := a.cmd.Process.Kill()
	a.wait()
	return err
}

// stop ends the application in order.
func (a *application) stop() error {
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return a.wait()
}

// wait waits for the end of the process.
func (a *application) wait() error {
	err := <-a.ended
	a.ended <- err
	return err
}
