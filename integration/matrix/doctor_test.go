package matrix_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/integration/middlebox"
	"github.com/carillon-go/carillon/internal/doctor"
)

// What the doctor finds behind real boxes, and what it says is to be written where.
func TestDoctorBehindBoxes(t *testing.T) {
	for _, c := range []struct {
		box      string
		idle     time.Duration
		verdict  doctor.Verdict
		best     string
		kind     string   // of a box that must be seen
		findings []string // codes and transports
		advice   string   // a line to paste
	}{
		{box: "N1", verdict: doctor.Fallback, best: doctor.ServerSentEvents, kind: "nginx",
			findings: []string{"upgrade-stripped WebSockets"}, advice: "proxy_set_header Upgrade $http_upgrade;"},
		{box: "N2", verdict: doctor.Well, best: doctor.WebSockets, kind: "nginx"},
		{box: "N10", verdict: doctor.Fallback, best: doctor.LongPolling, kind: "nginx",
			findings: []string{"upgrade-stripped WebSockets", "buffered ServerSentEvents"}, advice: "proxy_buffering off; # or take out: proxy_ignore_headers X-Accel-Buffering;"},
		{box: "A1", verdict: doctor.Fallback, best: doctor.ServerSentEvents, kind: "apache",
			findings: []string{"upgrade-stripped WebSockets"}, advice: "ProxyPass /hub http://SERVER/hub upgrade=websocket"},
		{box: "B-hold", verdict: doctor.Fallback, best: doctor.LongPolling,
			findings: []string{"refused WebSockets", "buffered ServerSentEvents"}},
		{box: "B-swallow", verdict: doctor.Fallback, best: doctor.ServerSentEvents,
			findings: []string{"upgrade-swallowed WebSockets"}},
		{box: "B-html", verdict: doctor.Fallback, best: doctor.ServerSentEvents,
			findings: []string{"answered-by-page WebSockets"}},
		{box: "B-idle", idle: 12 * time.Second, verdict: doctor.Fallback,
			findings: []string{"idle-cut WebSockets", "idle-cut ServerSentEvents", "idle-cut LongPolling"}, advice: "KeepAliveInterval: 4 * time.Second"},
		{box: "Squid-TLS", verdict: doctor.Nothing,
			findings: []string{"tls-untrusted "}, advice: "ssl_bump splice carillon"},
		{box: "T1", verdict: doctor.Fallback, best: doctor.ServerSentEvents, kind: "tinyproxy",
			findings: []string{"connect-refused WebSockets"}, advice: "ConnectPort "},
	} {
		t.Run(c.box, func(t *testing.T) {
			t.Parallel()
			kind, err := middlebox.ByName(c.box)
			if err != nil {
				t.Fatal(err)
			}
			box := kind.Start(t, patient(t))
			r := examine(t, box, c.idle)
			if r.Verdict != c.verdict || r.Best != c.best {
				t.Errorf("%s, best by %s", r.Verdict, r.Best)
			}
			if c.kind != "" && !slices.ContainsFunc(r.Boxes, func(b doctor.Box) bool { return b.Kind == c.kind }) {
				t.Errorf("on the way: %v", r.Boxes)
			}
			var findings []string
			for _, f := range r.Findings {
				findings = append(findings, f.Code+" "+f.Transport)
			}
			if !slices.Equal(findings, c.findings) {
				t.Errorf("found %v", r.Findings)
			}
			if c.advice != "" && !strings.Contains(linesOf(r), c.advice) {
				t.Errorf("the advice is\n%s", linesOf(r))
			}
		})
	}
}

// patient is a hub for the doctor. It ends with the test.
func patient(t *testing.T) (address string) {
	t.Helper()
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{})
	s := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.Close()
	})
	return s.Listener.Addr().String()
}

func examine(t *testing.T, box middlebox.Box, idle time.Duration) *doctor.Report {
	t.Helper()
	r, err := doctor.Examine(t.Context(), doctor.Options{
		URL:   box.URL + "/hub",
		Idle:  idle,
		Proxy: func(*http.Request) (*url.URL, error) { return proxyOf(box) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range r.Transports {
		t.Logf("%+v", *transport)
	}
	return r
}

func proxyOf(box middlebox.Box) (*url.URL, error) {
	if box.Proxy == "" {
		return nil, nil
	}
	return url.Parse(box.Proxy)
}

// linesOf is what there is to paste.
func linesOf(r *doctor.Report) string {
	var lines strings.Builder
	for _, a := range r.Advice {
		lines.WriteString(a.Box + ": " + a.Text + "\n" + strings.Join(a.Lines, "\n") + "\n")
	}
	return lines.String()
}
