// Package deploy checks the examples of deployment in this folder with the tools of those who
// use them. A tool that is missing skips its test, and fails it under CI.
package deploy

import (
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
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

// The alerts and the dashboard name only metrics that the program has.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	known := scrape(t)
	name := regexp.MustCompile(`\b(carillon|signalr|process|go)_[a-z_]+\b`)
	for _, file := range []string{"prometheus/rules.yaml", "grafana/carillon.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range name.FindAllString(string(text), -1) {
			if metric != "signalr_transport" && metric != "signalr_connection_status" && !strings.Contains(known, "\n"+metric) {
				t.Errorf("%s: there is no metric %s", file, metric)
			}
		}
	}
}

// scrape returns all metrics of a hub that had a connection.
func scrape(t *testing.T) string {
	t.Helper()
	m := metrics.New()
	h := hub.New(hub.Options{})
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{Meter: m}})
	m.Watch(e, h)
	m.Opened(transports.WebSockets)
	m.Ended(transports.WebSockets, 0, nil)
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	body, err := io.ReadAll(answer.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return "\n" + string(body)
}
