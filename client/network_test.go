package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestTLS(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newTLSWire(t, func(l *link) { l.shake(); l.untilGone() })
		r := w.rig()
		var version atomic.Int32
		w.before = func(_ http.ResponseWriter, q *http.Request) bool {
			if q.Method == http.MethodGet {
				version.Store(int32(q.ProtoMajor))
			}
			return false
		}
		trusted := &tls.Config{RootCAs: x509.NewCertPool()}
		trusted.RootCAs.AddCert(w.server.Certificate())

		o := w.on(transport)
		if err := r.open(w.url, o).Start(r.within()); err == nil {
			t.Error("a certificate that nobody knows was taken")
		}
		o.TLS = trusted
		r.start(r.open(w.url, o))
		if want := map[Transport]int32{WebSockets: 1, ServerSentEvents: 2, LongPolling: 2}[transport]; version.Load() != want {
			t.Errorf("HTTP/%d, want HTTP/%d", version.Load(), want)
		}
		o.TLS = nil
		o.HTTPClient = w.server.Client()
		r.start(r.open(w.url, o))
	})
}

// forwardProxy passes everything on to one server, whatever address it is asked for.
type forwardProxy struct {
	target string
	seen   atomic.Int32
	shared atomic.Int32 // requests on connections that are to be kept
}

func (p *forwardProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.seen.Add(1)
	if r.Method != http.MethodConnect && !r.Close {
		p.shared.Add(1)
	}
	if r.Method == http.MethodConnect {
		p.tunnel(w)
		return
	}
	(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Host = p.target },
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}).ServeHTTP(w, r)
}

func (p *forwardProxy) tunnel(w http.ResponseWriter) {
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		up.Close()
		return
	}
	_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
	done := make(chan struct{})
	go func() { pump(down, up); close(done) }()
	pump(up, down)
	<-done
}

// TestProxy: every transport goes through the proxy of the HTTP client, and no request depends on a connection that
// the proxy may be about to close.
func TestProxy(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
		p := &forwardProxy{target: strings.TrimPrefix(w.server.URL, "http://")}
		proxy, _ := url.Parse(answering(t, p.ServeHTTP))
		o := w.on(transport)
		through := &http.Transport{Proxy: http.ProxyURL(proxy)}
		defer through.CloseIdleConnections()
		o.HTTPClient = &http.Client{Transport: through}
		r := w.rig()
		c := r.start(r.open("http://hub.invalid/hub", o))
		if p.seen.Load() < 2 || c.Transport() != transport {
			t.Errorf("%s with %d requests through the proxy", c.Transport(), p.seen.Load())
		}
		if n := p.shared.Load(); n > 0 {
			t.Errorf("%d requests on connections that are kept", n)
		}
		if err := c.Stop(r.within()); err != nil {
			t.Error(err)
		}
	})
}

// wrapped is what applications make of http.DefaultTransport that look at all requests.
type wrapped struct{ http.RoundTripper }

func TestWrappedDefaultTransport(t *testing.T) {
	theirs := http.DefaultTransport
	defer func() { http.DefaultTransport = theirs }()
	http.DefaultTransport = wrapped{theirs}
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) {
			l.shake()
			l.untilGone()
		})
		r := w.rig()
		r.start(r.open(w.url, w.on(transport)))
	})
}

// TestCookies: what the server sets at negotiation comes back with the transport.
func TestCookies(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		var got atomic.Value
		w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
		w.before = func(rw http.ResponseWriter, q *http.Request) bool {
			if strings.HasSuffix(q.URL.Path, "/negotiate") {
				http.SetCookie(rw, &http.Cookie{Name: "sticky", Value: "node 7"})
			} else if q.Method == http.MethodGet {
				got.Store(q.Header.Get("Cookie"))
			}
			return false
		}
		r := w.rig()
		r.start(r.open(w.url, w.on(transport)))
		if got.Load() != `sticky="node 7"` {
			t.Errorf("cookie %v", got.Load())
		}
	})
}

// TestRedirectedRequests: plain HTTP redirects are followed by every transport.
func TestRedirectedRequests(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
		w.before = func(rw http.ResponseWriter, q *http.Request) bool {
			if strings.HasPrefix(q.URL.Path, "/elsewhere") {
				http.Redirect(rw, q, "/hub"+strings.TrimPrefix(q.URL.Path, "/elsewhere")+"?"+q.URL.RawQuery, http.StatusTemporaryRedirect)
				return true
			}
			return false
		}
		r := w.rig()
		r.start(r.open(w.server.URL+"/elsewhere", w.on(transport)))
	})
}

// TestSecretsStayHome: a plain redirect to somebody else takes no token along.
func TestSecretsStayHome(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		other := answering(t, func(rw http.ResponseWriter, q *http.Request) {
			if q.Header.Get("Authorization") != "" || q.Header.Get("Cookie") != "" {
				t.Errorf("%s was told %v", q.URL, q.Header)
			}
			http.Error(rw, "thanks", http.StatusTeapot)
		})
		w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
		w.before = func(rw http.ResponseWriter, q *http.Request) bool {
			if strings.HasSuffix(q.URL.Path, "/negotiate") {
				return false
			}
			http.Redirect(rw, q, strings.Replace(other, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
			return true
		}
		for _, own := range []http.Header{nil, {"Authorization": {"Basic x"}, "Cookie": {"a=b"}}} {
			o := w.on(transport)
			if o.Header = own; own == nil {
				o.AccessToken = func(context.Context) (string, error) { return "secret", nil }
			}
			r := w.rig()
			err := r.open(w.url, o).Start(r.within())
			if answer := new(HTTPError); !errors.As(err, &answer) || answer.StatusCode != http.StatusTeapot {
				t.Errorf("Start: %v", err)
			}
		}
	})
}

// TestTokensAfterRedirect: the token of a redirect replaces the provider's, until the connection is
// made anew.
func TestTokensAfterRedirect(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) {
			l.shake()
			l.end()
			l.untilGone()
		})
		w.before = func(rw http.ResponseWriter, q *http.Request) bool {
			want := "Bearer theirs"
			if q.URL.Path == "/hub/negotiate" && !q.URL.Query().Has("moved") {
				_, _ = io.WriteString(rw, `{"url":"/hub?moved=1","accessToken":"theirs"}`)
				want = "Bearer ours"
			}
			if got := q.Header.Get("Authorization"); got != want {
				t.Errorf("%s %s with %q", q.Method, q.URL.Path, got)
			}
			return want == "Bearer ours"
		}
		o := w.on(transport)
		o.AccessToken = func(context.Context) (string, error) { return "ours", nil }
		r := w.rig()
		c := r.open(w.url, o)
		for range 2 {
			r.start(c)
			r.until("the end", func() bool { return c.State() == Disconnected })
		}
	})
}

// TestNoSecretsInErrors: connection tokens and access tokens are in URLs and headers, and must not
// get from there into errors, which end in logs.
func TestNoSecretsInErrors(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
		w.before = func(rw http.ResponseWriter, q *http.Request) bool {
			if strings.HasSuffix(q.URL.Path, "/negotiate") {
				return false
			}
			panic(http.ErrAbortHandler)
		}
		o := w.on(transport)
		o.AccessToken = func(context.Context) (string, error) { return "secret", nil }
		r := w.rig()
		err := r.open(w.url, o).Start(r.within())
		if err == nil || strings.Contains(err.Error(), "id=") || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ttt") {
			t.Errorf("Start: %v", err)
		}
		var u *url.Error
		if errors.As(err, &u) {
			t.Errorf("the error holds a URL: %v", u)
		}
	})
}
