package cluster_test

import (
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/integration/middlebox"
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

// The scenarios of the official JavaScript client in Node, on every transport and protocol.
func TestNodeClient(t *testing.T) {
	for _, balancer := range middlebox.Balancers() {
		t.Run(balancer, func(t *testing.T) {
			t.Parallel()
			n := startNodes(t, testHub(t))
			testClient(t, n, "node", n.behind(t, balancer, false), clients.Start(t, "node.js"))
		})
	}
}

func testClient(t *testing.T, n *nodes, name, url string, r *clients.Runner) {
	test := func(t *testing.T, once bool, c clients.Combination) {
		for _, scenario := range r.Scenarios {
			if scenario.Once != once {
				continue
			}
			t.Run(scenario.Name, func(t *testing.T) {
				if why := needBackplane[scenario.Name]; why != "" {
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
	}
	for _, c := range clients.Combinations() {
		t.Run(c.String(), func(t *testing.T) { test(t, false, c) })
	}
	t.Run("once", func(t *testing.T) { test(t, true, clients.Combinations()[0]) })
}
