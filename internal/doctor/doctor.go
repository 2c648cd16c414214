// Package doctor examines the network path between this machine and a SignalR hub:
// which transports get through, whether a proxy buffers them, after how much silence a
// connection is cut, and which proxy setting helps. It works against any SignalR server,
// because every server answers a call of an unknown method.
package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"
	"time"
)

// Options configure an examination.
type Options struct {
	URL string // of the hub
	// Idle is how long each working transport is left silent, except for the pings of
	// client and server. Default: 0, no idle test.
	Idle time.Duration
	// Header of every request.
	Header http.Header
	// Token is a bearer token, sent in the Authorization header.
	Token string
	// InsecureTLS goes on although the certificate is not trusted.
	InsecureTLS bool
	// Proxy returns the forward proxy for a request. Default: as the environment says.
	Proxy func(*http.Request) (*url.URL, error)
	// Progress is called with the name of each step. Default: nil, no calls.
	Progress func(step string)
}

// How long a step may take before it counts as hanging. The limits are short because a
// refusal comes at once and a person is waiting.
const (
	answerPatience = 5 * time.Second // an answer to a request, a WebSocket's handshake
	heldPatience   = 2 * time.Second // something that should come at once
)

// examiner is one examination.
type examiner struct {
	options Options
	url     *url.URL
	client  *http.Client
	report  *Report
	mu      sync.Mutex // guards the report against concurrent probes
}

// Examine examines the path to a hub. The error is about the options only: faults of
// the path are in the report.
func Examine(ctx context.Context, o Options) (*Report, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("doctor: %q is no URL that begins with http:// or https://", o.URL)
	}
	x := newExaminer(u, o)
	defer x.client.CloseIdleConnections()
	x.examine(ctx)
	x.judge()
	return x.report, nil
}

func newExaminer(u *url.URL, o Options) *examiner {
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	jar, _ := cookiejar.New(nil) // never fails
	x := &examiner{options: o, url: u, report: &Report{URL: u.Redacted(), Time: time.Now()}}
	x.client = &http.Client{Jar: jar, Transport: &http.Transport{
		Proxy:                  o.Proxy,
		OnProxyConnectResponse: x.tunnelAnswered,
		TLSClientConfig:        tlsConfig(o),
		ForceAttemptHTTP2:      true, // as browsers do
		DisableCompression:     true, // it is looked at, not undone in secret
	}}
	return x
}

func tlsConfig(o Options) *tls.Config {
	return &tls.Config{InsecureSkipVerify: o.InsecureTLS} //nolint:gosec // asked for by name
}

func (x *examiner) examine(ctx context.Context) {
	x.options.Progress("negotiating")
	x.noteProxy()
	first := x.negotiate(ctx)
	if first == nil {
		return
	}
	var open []*session
	for _, kind := range Transports {
		x.options.Progress("trying " + kind)
		t := x.report.add(kind)
		if s := x.try(ctx, t, first); s != nil {
			open = append(open, s)
		}
		first = nil
	}
	x.sitIdle(ctx, open)
	for _, s := range open {
		s.close()
	}
}

// try opens a transport and measures its delays. Each transport negotiates for itself,
// except that the first one uses the negotiation of the report: a server that learns
// could take an unused negotiation for a WebSocket that did not arrive.
func (x *examiner) try(ctx context.Context, t *Transport, n *negotiated) *session {
	if n == nil {
		var err error
		if n, err = x.ask(ctx); err != nil {
			t.Error = err.Error()
			return nil
		}
	}
	s := x.newSession(ctx, t, n)
	if err := s.open(); err != nil {
		t.Error = err.Error()
		s.close()
		return nil
	}
	s.measure()
	if !t.Works {
		s.close()
		return nil
	}
	return s
}

func (x *examiner) noteProxy() {
	if proxy, err := x.proxyFor(x.url); err == nil && proxy != nil {
		x.report.Proxy = proxy.Redacted()
	}
}

// proxyFor returns the forward proxy for a request to u; nil if there is none.
func (x *examiner) proxyFor(u *url.URL) (*url.URL, error) {
	return x.options.Proxy(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}, Host: u.Host})
}
