// Package doctor measures, from where a person sits, what stands between a client and
// a SignalR hub: which transports get through, what is held back and for how long,
// when silence is cut, and what to write into which proxy. It works against any
// SignalR server: a call of a method that does not exist is answered by all of them.
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

// Options of an examination.
type Options struct {
	URL string // of the hub
	// Idle is how long each transport that works is left silent, but for the pings that
	// clients and servers send. 0: not at all.
	Idle time.Duration
	// Header of every request.
	Header http.Header
	// Token is a bearer token, sent in the Authorization header.
	Token string
	// InsecureTLS goes on although the certificate is not trusted.
	InsecureTLS bool
	// Proxy tells for a request which forward proxy to use. Default: the environment's.
	Proxy func(*http.Request) (*url.URL, error)
	// Progress is told what is being done. Default: nobody is.
	Progress func(step string)
}

// How long a step may take before it counts as hanging. A refusal comes at once, and
// a person waits.
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
	mu      sync.Mutex // of what concurrent probes note in the report
}

// Examine examines the way to a hub. The error is about the options: what is wrong
// with the way is in the report.
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

// try opens a transport and measures what comes how late. Each has a negotiation of its
// own. The first one is not wasted: to a server that learns, a negotiation of which
// nothing comes may mean that WebSockets do not arrive.
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
	r, _ := http.NewRequest(http.MethodGet, x.url.String(), nil) // it was parsed before
	if proxy, err := x.options.Proxy(r); err == nil && proxy != nil {
		x.report.Proxy = proxy.Redacted()
	}
}
