// Package deploy checks the examples of deployment in this folder with the tools of those who
// use them. A tool that is missing skips its test, and fails it under CI.
package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/cluster"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/appserver"
	"github.com/carillon-go/carillon/internal/metrics"
	"github.com/carillon-go/carillon/transports"
)

// Each file passes the checker of its format.
func TestFilesAreValid(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"Dockerfile":          {"hadolint", "docker/Dockerfile"},
		"Kubernetes":          {"kubernetes-validate", "--strict", "kubernetes/carillon.yaml"},
		"Prometheus":          {"promtool", "check", "config", "prometheus/prometheus.yaml"},
		"rules of Prometheus": {"promtool", "check", "rules", "prometheus/rules.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, command[0], command[1:]...)
		})
	}
}

// The unit passes systemd's own check. It names an installed binary, which is not there:
// the copy that is checked names another one.
func TestUnitIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("systemd/carillon.service")
	if err != nil {
		t.Fatal(err)
	}
	const installed = "/usr/local/bin/gateway"
	if !strings.Contains(string(text), "ExecStart="+installed) {
		t.Fatalf("the unit does not start %s", installed)
	}
	if !strings.Contains(string(text), "\nExecReload=/bin/kill -HUP $MAINPID\n") {
		t.Error("systemctl reload does not send SIGHUP")
	}
	unit := filepath.Join(t.TempDir(), "carillon.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), installed, "/bin/sh")), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "systemd-analyze", "verify", unit)
}

func check(t *testing.T, tool string, args ...string) {
	t.Helper()
	path := find(t, tool)
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
}

// find returns the path of a tool: on the PATH, or where make puts the Python ones.
func find(t *testing.T, tool string) string {
	t.Helper()
	if path, err := exec.LookPath(tool); err == nil {
		return path
	}
	path, err := filepath.Abs(filepath.Join("../bin/checkers/bin", tool))
	if err == nil {
		_, err = os.Stat(path)
	}
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skipf("%s is not installed", tool)
	}
	return path
}

// The alerts, the dashboard and the pages name only metrics and labels that the program has.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	text := scrape(t)
	for _, metric := range regexp.MustCompile(`(?m)^(?:# TYPE )?(\w+)[{ ]`).FindAllStringSubmatch(text, -1) {
		known[metric[1]] = true
	}
	for _, label := range regexp.MustCompile(`[{,](\w+)="`).FindAllStringSubmatch(text, -1) {
		known[label[1]] = true
	}
	name := regexp.MustCompile(`\b(carillon|signalr|process|go)_\w+\b`)
	for _, file := range []string{"prometheus/rules.yaml", "grafana/carillon.json", "../docs/operations.md", "../docs/scale-out.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := name.FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s: there is no metric or label %s", file, name)
			}
		}
	}
}

// The dashboard is JSON, and Prometheus understands each of its expressions.
func TestDashboardIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("grafana/carillon.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for i, target := range panel.Targets {
			rules += fmt.Sprintf("      - {record: 'panel:%d', labels: {panel: %q}, expr: %q}\n", i, panel.Title, target.Expr)
		}
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "promtool", "check", "rules", path)
}

// scrape returns all metrics of a hub that had a connection, at a node of a cluster.
func scrape(t *testing.T) string {
	t.Helper()
	m := metrics.New()
	of := m.Hub("")
	h := hub.New(hub.Options{})
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{Meter: of}})
	of.Watch(h, e)
	m.WatchNode(startNode(t))
	broker := new(backplane.Memory).Broker()
	of.WatchBackplane(backplane.New(broker, backplane.Options{Hub: "hub"}), broker)
	of.Servers(func() appserver.Stats { return appserver.Stats{} })
	m.Publishing()("sendToAll", http.StatusAccepted)
	of.Opened(transports.WebSockets)
	of.Ended(transports.WebSockets, 0, nil)
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	body, err := io.ReadAll(answer.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// startNode returns a node that knows another one.
func startNode(t *testing.T) *cluster.Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := cluster.ParseSecrets(cluster.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	n, err := cluster.New(cluster.Options{Secrets: secrets, Advertise: l.Addr().String(), Peers: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- n.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(n.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	for len(n.Members()) == 0 {
		time.Sleep(time.Millisecond) // nothing wakes this wait
	}
	return n
}
