package gateway

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Connections are counted by the names of .NET's meter, refusals by their limit; the hub's own address shows none of it.
func TestMetrics(t *testing.T) {
	r := start(t, func(c *Config) { c.MetricsAddr, c.MaxConnections = "127.0.0.1:0", 2 })
	r.do(http.MethodGet, "/healthz", "") // behind it the log has the address
	found := regexp.MustCompile(`msg="serving metrics" address=(\S+)`).FindStringSubmatch(r.log.String())
	if found == nil {
		t.Fatalf("where? %s", r.log.String())
	}
	metrics := *r
	metrics.url = "http://" + found[1]
	scrape := func(lines ...string) {
		t.Helper()
		body := text(t, metrics.do(http.MethodGet, "/metrics", ""))
		for _, line := range lines {
			if !strings.Contains(body, line+"\n") {
				t.Errorf("no %q in\n%s", line, body)
			}
		}
	}
	conn, _ := r.dial("")
	talk(t, conn)
	r.negotiate()
	r.do(http.MethodPost, negotiation, "") // one too many
	scrape(`signalr_server_active_connections{signalr_transport="web_sockets"} 1`,
		`carillon_connections 2`, `carillon_queued_bytes 0`,
		`carillon_refused_total{limit="connections"} 1`, `carillon_refused_total{limit="invocations"} 0`)
	_ = conn.Close()
	const ended = `signalr_server_connection_duration_seconds_count{signalr_connection_status="normal_closure",signalr_transport="web_sockets"} 1`
	for body := ""; !strings.Contains(body, ended); { // the server sees the end beside this
		body = text(t, metrics.do(http.MethodGet, "/metrics", ""))
	}
	scrape(`signalr_server_active_connections{signalr_transport="web_sockets"} 0`)
	for host, want := range map[string]int{"evil.example": http.StatusMisdirectedRequest, "localhost:9090": http.StatusOK} {
		if status := metrics.ask(http.MethodGet, "/metrics", host); status != want {
			t.Errorf("metrics of %s: %d", host, status)
		}
	}
	if answer := r.do(http.MethodGet, "/metrics", ""); answer.StatusCode != http.StatusNotFound {
		t.Error("at the hub's address:", answer.Status)
	}
}

func TestMetricsAddressInUse(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := Config{Addr: "127.0.0.1:0", Path: "/hub", Transports: []string{"WebSockets"}, MetricsAddr: l.Addr().String()}
	s, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
}
