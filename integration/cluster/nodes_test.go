//go:build linux

// Package cluster_test has several nodes of one cluster behind balancers that keep no sessions.
package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/cluster"
	"github.com/carillon-go/carillon/integration/middlebox"
	"github.com/carillon-go/carillon/internal/testproc"
)

var long = flag.Bool("cluster.long", false, "also run the suites of Chromium and .NET, and all suites behind nginx")

func onlyLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("part of the long form: -cluster.long")
	}
}

const nodeCount = 3

// atOnce is the number of tests that run at once, each with three nodes and a balancer. With more
// the nodes of a small host answer later than their own limits allow.
const atOnce = "4"

// patience is the time limit of everything that must happen.
const patience = time.Minute

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == siteCommand {
		if err := runSite(os.Args[2], os.Args[3:]...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == soakCommand {
		if err := runSoakNode(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// build returns the binary of a program of the module.
func build(t *testing.T, pkg string) string {
	t.Helper()
	binary, err := testproc.Build(pkg)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func testHub(t *testing.T) string { t.Helper(); return build(t, "../testhub") }

// nodes are the processes of one cluster.
type nodes struct {
	all       []*testproc.Process
	addresses []string // for clients
	links     []string
	wires     *wires // nil: they dial each other directly
	joined    bool   // Redis joins their hubs
	commands  [][]string
}

// startNodes starts the nodes of a cluster. command is that of one, without the settings of the
// cluster. They end with the test.
func startNodes(t *testing.T, command ...string) *nodes {
	t.Helper()
	n := newNodes()
	n.begin(t, n.links, command)
	return n
}

// startWiredNodes is startNodes with wires between the nodes.
func startWiredNodes(t *testing.T, command ...string) *nodes {
	t.Helper()
	n := newNodes()
	n.wires = newWires(t, n.links)
	n.begin(t, n.wires.addresses, command)
	return n
}

func newNodes() *nodes {
	n := &nodes{all: make([]*testproc.Process, nodeCount)}
	for range nodeCount {
		n.addresses, n.links = append(n.addresses, testproc.FreeAddress()), append(n.links, testproc.FreeAddress())
	}
	return n
}

// begin starts the nodes, whose addresses for each other are advertised.
func (n *nodes) begin(t *testing.T, advertised, command []string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(cluster.NewSecret()), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, link := range n.links {
		n.commands = append(n.commands, slices.Concat(command, []string{
			"--cluster-addr", link, "--cluster-advertise", advertised[i], "--cluster-secret-file", secret, "--cluster-peers", strings.Join(advertised, ","),
		}))
	}
	t.Cleanup(func() {
		for i, p := range n.all {
			if p != nil && t.Failed() {
				t.Logf("node %d at %s for nodes, pid %d: %s", i, n.links[i], p.PID(), p.Output.String())
			}
		}
		if err := n.terminate(); err != nil {
			t.Error(err)
		}
	})
	if err := n.each(n.start); err != nil {
		t.Fatal(err)
	}
	if n.wires != nil {
		n.wires.begin(n.all)
	}
	if err := n.awaitEachOther(); err != nil {
		t.Fatal(err)
	}
}

// each calls f with the number of each node, concurrently.
func (n *nodes) each(f func(i int) error) error {
	var calls sync.WaitGroup
	errs := make([]error, nodeCount)
	for i := range nodeCount {
		calls.Go(func() { errs[i] = f(i) })
	}
	calls.Wait()
	return errors.Join(errs...)
}

func (n *nodes) start(i int) (err error) {
	p, err := testproc.Start(n.addresses[i], n.commands[i]...)
	if err == nil {
		n.all[i] = p
	}
	return err
}

// startAll starts all nodes, and waits until each finds the connections of each.
func (n *nodes) startAll() error {
	return errors.Join(n.each(n.start), n.awaitEachOther())
}

// awaitEachOther waits until a negotiation at each node can be opened at each other one.
func (n *nodes) awaitEachOther() error {
	deadline := time.Now().Add(patience)
	for home := range nodeCount {
		for owner := range nodeCount {
			for home != owner && !n.moves(home, owner) {
				if time.Now().After(deadline) {
					return fmt.Errorf("node %d does not find the connections of node %d", owner, home)
				}
				time.Sleep(20 * time.Millisecond) // waits for other processes
			}
		}
	}
	return nil
}

// moves reports whether a negotiation at home can be opened at owner.
func (n *nodes) moves(home, owner int) bool {
	token, err := n.negotiate(home, "/echo")
	if err != nil {
		return false
	}
	url := "http://" + n.addresses[owner] + "/echo?id=" + token
	status, _ := send(http.MethodGet, url, nil)
	_, _ = send(http.MethodDelete, url, nil)
	return status == http.StatusOK
}

// negotiate returns the token of a new connection.
func (n *nodes) negotiate(home int, path string) (token string, err error) {
	_, body := send(http.MethodPost, "http://"+n.addresses[home]+path+"/negotiate?negotiateVersion=1", nil)
	var answer struct{ ConnectionToken string }
	err = json.Unmarshal(body, &answer)
	return answer.ConnectionToken, err
}

// send makes a request. The status of one that fails is 0.
func send(method, url string, body io.Reader) (status int, answer []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, nil
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	answer, _ = io.ReadAll(response.Body)
	return response.StatusCode, answer
}

// terminate ends all nodes, which have to end with success, except those that were killed.
func (n *nodes) terminate() error {
	return n.each(func(i int) error {
		p := n.all[i]
		if p == nil {
			return nil
		}
		n.all[i] = nil
		return p.End()
	})
}

// kill ends a node at once.
func (n *nodes) kill(i int) {
	n.all[i].Kill()
	n.all[i] = nil
}

// awaitMembers waits until each node knows all others.
func (n *nodes) awaitMembers(t *testing.T) {
	t.Helper()
	eventually(t, "the nodes to know each other", func() bool {
		for _, p := range n.all {
			if strings.Count(p.Output.String(), "node up") < nodeCount-1 {
				return false
			}
		}
		return true
	})
}

// do carries out what a scenario asks for.
func (n *nodes) do(what string) error {
	switch what {
	case "terminate":
		return n.terminate()
	case "start":
		return n.startAll()
	default:
		return fmt.Errorf("%s: %w", what, errors.ErrUnsupported)
	}
}

// behind starts a balancer in front of the nodes.
func (n *nodes) behind(t *testing.T, program string, tls bool) (url string) {
	t.Helper()
	return middlebox.Balancer(program, tls, n.addresses...).Start(t, n.addresses[0]).URL
}

// revive starts the nodes that a failed scenario has left down.
func (n *nodes) revive(t *testing.T) {
	t.Helper()
	err := n.each(func(i int) error {
		if p := n.all[i]; p != nil && p.Running() {
			return nil
		}
		t.Errorf("node %d was left down", i)
		return n.start(i)
	})
	if err != nil {
		t.Fatal(err)
	}
}
