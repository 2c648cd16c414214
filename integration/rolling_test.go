package integration_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/internal/testproc"
)

var rollingClients = flag.Int("rolling.clients", 30, "clients of TestRollingRestart; 200 for the long form")

// Without a timeout of its own, a check that takes longer than the interval would count as a failure.
const balancerConfig = `defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1h
  timeout check 20s
frontend f
  bind %s
  default_backend gateways
backend gateways
  balance leastconn
  option httpchk GET /readyz
  http-check expect status 200
  option redispatch
  cookie node insert indirect nocache
  default-server check inter 100ms fall 1 rise 1
  server a %s cookie a
  server b %s cookie b
`

// startBalancer starts HAProxy in front of two addresses and waits until it passes requests to
// one of them.
func startBalancer(t *testing.T, a, b string) (url string) {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		clients.Missing(t, "HAProxy is not installed")
	}
	addr := testproc.FreeAddress()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, balancerConfig, addr, a, b), 0o600); err != nil {
		t.Fatal(err)
	}
	output := &testproc.Output{}
	cmd := exec.CommandContext(t.Context(), program, "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the context of the test has ended it
	awaitReady(t, "http://"+addr)
	return "http://" + addr
}

// awaitReady waits until a request for the probe is answered 200.
func awaitReady(t *testing.T, url string) {
	t.Helper()
	eventually(t, url+" to be ready", func() bool {
		answer, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // waits for other processes
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// crowd is a process with many official clients.
type crowd struct {
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Reader
	stderr testproc.Output
}

type crowdReport struct {
	Connected, Reconnected, Failed int
	Error                          string
}

func startCrowd(t *testing.T, url string, n int) *crowd {
	t.Helper()
	cmd := clients.Node(t.Context(), t, "rolling.js")
	cmd.Args = append(cmd.Args, url, strconv.Itoa(n))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{t: t, in: in, out: bufio.NewReader(out)}
	cmd.Stderr = &c.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return c
}

// report returns the state of the clients. The first report follows when all are connected.
func (c *crowd) report() (r crowdReport) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		c.t.Fatalf("%v\n%s", err, &c.stderr)
	}
	line, err := c.out.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &r)
	}
	if err != nil {
		c.t.Fatalf("%v\n%s", err, &c.stderr)
	}
	if r.Failed > 0 {
		c.t.Fatalf("%d clients have given up: %s", r.Failed, r.Error)
	}
	return r
}

// TestRollingRestart: a new process replaces the program twice behind HAProxy, and each time the old one drains
// after the new one has started. Official clients on all transports reconnect. No client
// gives up, the old processes exit with status 0, and the log of each says how many clients moved.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	n := *rollingClients
	binary, err := testproc.Build("../cmd/gateway")
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{testproc.FreeAddress(), testproc.FreeAddress()}
	start := func(addr string) *testproc.Process {
		p, err := testproc.Start(addr, binary)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	old := start(addresses[0])
	clients := startCrowd(t, startBalancer(t, addresses[0], addresses[1])+"/hubs/clock", n)
	if r := clients.report(); r.Connected != n {
		t.Fatalf("%+v", r)
	}
	for round := 1; round <= 2; round++ {
		next := start(addresses[round%2])
		if err := old.Terminate(); err != nil {
			t.Fatal(err)
		}
		if err := old.Wait(); err != nil {
			t.Error(err)
		}
		if log := old.Output.String(); !strings.Contains(log, fmt.Sprintf("drained=%d cut=0", n)) {
			t.Errorf("the log does not say that %d clients moved:\n%s", n, log)
		}
		eventually(t, "all clients on the new process", func() bool {
			r := clients.report()
			return r.Connected == n && r.Reconnected == round*n
		})
		old = next
	}
}
