//go:build linux

package cluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/integration/middlebox"
	"github.com/carillon-go/carillon/internal/testproc"
)

// Without a backplane a node reaches its own connections only.
var needBackplane = map[string]string{
	"a client sets off a tick":             "a tick for the clients of all nodes",
	"client results of another connection": "the other connection is at another node",
	"client results outside of the hub":    "the HTTP request arrives at another node than the connection",
	"groups":                               "groups of connections at several nodes",
	"a group is left with the connection":  "a group of connections at several nodes",
	"every combination at once":            "a message to the connections of all nodes",
}

// The scenarios of the official JavaScript client in Node. TestNodeClientBehindRedis has every
// transport and protocol; of nodes that nothing joins, the long form does.
func TestNodeClient(t *testing.T) {
	for _, balancer := range middlebox.Balancers() {
		t.Run(balancer, func(t *testing.T) {
			t.Parallel()
			n := startNodes(t, testHub(t))
			ways := clients.Combinations()
			if !*long {
				ways = ways[len(ways)-1:]
			}
			testClient(t, n, "node", n.behind(t, balancer, false), clients.Start(t, "node.js"), ways)
		})
	}
}

// All scenarios, also those with messages between connections of several nodes.
func TestNodeClientBehindRedis(t *testing.T) {
	t.Parallel()
	n := startJoinedNodes(t)
	testClient(t, n, "node", n.behind(t, "haproxy", false), clients.Start(t, "node.js"), clients.Combinations())
}

// startJoinedNodes starts nodes with the test hub, whose hubs Redis joins.
func startJoinedNodes(t *testing.T) *nodes {
	t.Helper()
	redis := testproc.NewRedis(t)
	redis.Start()
	n := startNodes(t, testHub(t), "-redis", redis.URL())
	n.joined = true
	return n
}

func testClient(t *testing.T, n *nodes, name, url string, r *clients.Runner, ways []clients.Combination) {
	test := func(t *testing.T, once bool, c clients.Combination) {
		for _, scenario := range r.Scenarios {
			if scenario.Once != once {
				continue
			}
			run(t, n, name, url, r, scenario, c)
		}
	}
	for _, c := range ways {
		t.Run(c.String(), func(t *testing.T) { test(t, false, c) })
	}
	t.Run("once", func(t *testing.T) { test(t, true, ways[0]) })
}

// run runs a scenario as a subtest, after which all nodes run again.
func run(t *testing.T, n *nodes, name, url string, r *clients.Runner, scenario clients.Scenario, c clients.Combination) {
	t.Helper()
	t.Run(scenario.Name, func(t *testing.T) {
		if why := needBackplane[scenario.Name]; why != "" && !n.joined {
			t.Skip(why)
		}
		if scenario.Only != "" && scenario.Only != name {
			t.Skip("only in ", scenario.Only)
		}
		end, err := r.Run(clients.Order{Scenario: scenario.Name, URL: url, Transport: c.Transport, Protocol: c.Protocol}, n.do)
		if err != nil {
			t.Fatalf("the runner ended: %v\n%s", err, r.Stderr)
		}
		if end.Error != "" {
			t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
		}
		n.revive(t)
	})
}

// The scenarios of the JavaScript client in Chromium, over HTTPS with HTTP/2.
func TestChromiumClient(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	n := startJoinedNodes(t)
	r := clients.Start(t, "chromium.js", "CHROMIUM="+clients.FindChromium(t))
	testClient(t, n, "chromium", n.behind(t, "haproxy", true), r, clients.Combinations())
}

// The checks of the official .NET client, over HTTP and over HTTPS with HTTP/2, and those with
// which it starts and ends whole clusters, and refreshes its tokens. Redis joins all hubs.
func TestDotNetClient(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	program, err := filepath.Abs("../../../shared/reference/aspnet11")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("the original is not beside the checkout: ", err)
	}
	n := startJoinedNodes(t)
	redis := testproc.NewRedis(t)
	redis.Start()
	joined := " --redis " + redis.URL()
	site := os.Args[0] + " " + siteCommand + " 127.0.0.1:{port} "
	args := []string{
		"client", n.behind(t, "haproxy", false), "--tls", n.behind(t, "haproxy", true), "--skip", dotNetSkips,
		"--server-cmd", site + testHub(t) + joined, "--gateway-cmd", site + build(t, "../../cmd/gateway") + joined + " --jwt-key {key}",
	}
	runs, failed := clients.RunDotNet(t, program, args...)
	if len(failed) > 0 { // the checks have time limits, which a busy machine can miss
		_, failed = clients.RunDotNet(t, program, append(args, "--filter", strings.Join(failed, ","))...)
	}
	if len(failed) > 0 {
		t.Error("failed twice: ", failed)
	}
	if runs < 460 {
		t.Error("only ", runs, " runs")
	}
}

// dotNetSkips are a check that wants the text for a client of the same node that goes, where the
// original, too, has another text for one of another node, and a check that negotiates with
// version 0, whose connections one node alone finds.
const dotNetSkips = "client-result-disconnect,refresh-requests"

// The suite of our own client.
func TestGoClient(t *testing.T) {
	t.Parallel()
	n := startJoinedNodes(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := []string{"test", "-count=1", "-v", "-run", "^TestServer$"}
	if raceEnabled() {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "../../client")...)
	cmd.Env = append(os.Environ(), "CARILLON_TEST_SERVER="+n.behind(t, "haproxy", false))
	out, err := cmd.CombinedOutput()
	passed := len(goPassed.FindAll(out, -1))
	t.Log(passed, " behaviours")
	if err != nil || passed < 100 {
		t.Errorf("%v\n%s", err, out)
	}
}

var goPassed = regexp.MustCompile(`(?m)^ {8}--- PASS`)

func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Clients beside the newest official ones.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	for name, command := range clients.Others {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if slices.Contains(versionZero, name) {
				t.Skip("it negotiates with version 0")
			}
			r := clients.StartCommand(t, command(t))
			n := startJoinedNodes(t)
			url := n.behind(t, "haproxy", false)
			for _, scenario := range r.Scenarios {
				run(t, n, name, url, r, scenario, clients.Combination{})
			}
		})
	}
}

// versionZero are clients that know version 0 of the negotiation only, whose connections one
// node alone finds.
var versionZero = []string{"@aspnet/signalr 1", "@microsoft/signalr 3", "pysignalr", "signalrcore"}
