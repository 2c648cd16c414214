package loadgen

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// patience limits the time of connecting, and of each answer while connecting.
const patience = 20 * time.Second

// target is the hub under load and the way to reach it.
type target struct {
	url     *url.URL
	address string
	tls     *tls.Config // nil for http
	head    string      // headers of every request, Host first
	options Options
}

// sentOn is the address of a redirect, with the token for it.
func (t *target) sentOn(to, token string) (*target, error) {
	u, err := t.url.Parse(to)
	if err != nil {
		return nil, err
	}
	o := t.options
	if token != "" {
		if o.Header = o.Header.Clone(); o.Header == nil {
			o.Header = http.Header{}
		}
		o.Header.Set("Authorization", "Bearer "+token)
	}
	return newTarget(u, o), nil
}

func newTarget(u *url.URL, o Options) *target {
	t := &target{url: u, address: u.Host, options: o}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		t.tls = &tls.Config{
			ServerName:         u.Hostname(),
			NextProtos:         []string{"http/1.1"},
			InsecureSkipVerify: o.InsecureTLS, //nolint:gosec // asked for by name
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		}
	}
	if u.Port() == "" {
		t.address = net.JoinHostPort(u.Hostname(), port)
	}
	var head strings.Builder
	head.WriteString("Host: " + u.Host + "\r\n")
	header := o.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("X-Requested-With", "XMLHttpRequest")
	_ = header.Write(&head) // a Builder does not fail
	t.head = head.String()
	return t
}

// path is the request target of the hub, with a segment and a query added.
func (t *target) path(segment, query string) string {
	path := t.url.EscapedPath()
	if segment != "" {
		path = strings.TrimSuffix(path, "/") + segment
	}
	if path == "" {
		path = "/"
	}
	if t.url.RawQuery != "" {
		query = strings.TrimSuffix(t.url.RawQuery+"&"+query, "&")
	}
	if query == "" {
		return path
	}
	return path + "?" + query
}

// dial opens a connection, with TLS if the URL says so. Closing it sends a reset, because
// so many orderly ends would use up the local ports.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: patience, KeepAlive: -1}
	c, err := dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	if t.tls == nil {
		return c, nil
	}
	secured := tls.Client(c, t.tls)
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Time{})
	return secured, nil
}
