//go:build linux

package appserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/integration/middlebox"
)

// applicable are the scenarios that run. Others ask for cookies, for transports of one hub, for feature
// objects, or for times and texts that are the SDK's.
var applicable = []string{
	"welcome from OnConnected", "restart of the same client object", "invoke", "values", "calls from the server", "order",
	"parallel invocations", "large messages from the server", "streams down", "cancellation", "streams up", "streams both ways",
	"client results", "client results of another connection", "groups", "a group is left with the connection",
	"reconnect after a restart of the server",
}

// The official JavaScript clients, in Node and in Chromium, are redirected by an application to the
// program, which is of another origin and behind TLS: invocations, streams both ways, results of
// clients, groups, restarts of the application, over every transport.
func TestJavaScriptClientsOfAnApplication(t *testing.T) {
	t.Run("node", func(t *testing.T) {
		program := reference(t, "aspnet11")
		testJavaScript(t, program, clients.Start(t, "node.js", "NODE_EXTRA_CA_CERTS="+middlebox.RootFile(t)))
	})
	t.Run("chromium", func(t *testing.T) {
		program := reference(t, "aspnet11")
		testJavaScript(t, program, clients.Start(t, "chromium.js", "CHROMIUM="+clients.FindChromium(t)))
	})
}

func testJavaScript(t *testing.T, program string, r *clients.Runner) {
	g := startGateway(t)
	g.public = middlebox.Balancer("nginx", true, g.Addr).Start(t, g.Addr).URL
	a := g.application(t, program, "testhub")
	for _, c := range clients.Combinations() {
		t.Run(c.String(), func(t *testing.T) {
			for _, s := range r.Scenarios {
				if !slices.Contains(applicable, s.Name) {
					continue
				}
				t.Run(s.Name, func(t *testing.T) {
					end, err := r.Run(clients.Order{Scenario: s.Name, URL: a.url, Transport: c.Transport, Protocol: c.Protocol}, func(what string) error { return a.do(t, what) })
					if err != nil {
						t.Fatalf("the runner broke off: %v\n%s", err, r.Stderr)
					}
					if end.Error != "" {
						t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
					}
				})
			}
		})
	}
}

// do carries out what a scenario asks for.
func (a *application) do(t *testing.T, what string) error {
	switch what {
	case "terminate":
		return a.stop()
	case "start":
		a.again(t)
		return nil
	}
	return fmt.Errorf("the application cannot %s", what)
}
