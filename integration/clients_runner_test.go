package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
)

// test runs one scenario against the server as a subtest. The server is up again afterwards, whatever the scenario did to it.
func test(t *testing.T, r *clients.Runner, name string, sc clients.Scenario, s *server, c clients.Combination) {
	t.Helper()
	t.Run(sc.Name, func(t *testing.T) {
		if sc.Only != "" && sc.Only != name {
			t.Skipf("only in %s", sc.Only)
		}
		if sc.Ours != "" && !s.ours {
			t.Skipf("the original differs: %s", sc.Ours)
		}
		end, err := r.Run(clients.Order{Scenario: sc.Name, URL: s.URL(), Transport: c.Transport, Protocol: c.Protocol}, s.do)
		if err != nil {
			t.Fatalf("the runner broke off: %v\n%s", err, r.Stderr)
		}
		if end.Error != "" {
			t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
		}
		if err := s.revive(); err != nil {
			t.Error(err)
		}
	})
}

// do carries out what a scenario asks for.
func (s *server) do(what string) error {
	switch what {
	case "terminate":
		return s.terminate()
	case "start":
		return s.start()
	default:
		return fmt.Errorf("nobody knows how to %s: %w", what, errors.ErrUnsupported)
	}
}
