package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/tunnel"
)

// network makes the requests of one HubConnection: one place for headers, tokens, cookies, proxies
// and TLS of all transports.
type network struct {
	client *http.Client
	// dialer does the handshakes of WebSockets; direct is how it and proxies are reached.
	dialer websocket.Dialer
	direct *http.Transport
	header http.Header
	// own is the transport that nobody else uses: its idle connections are closed with ours.
	own *http.Transport
}

// writeBuffers are shared by all WebSockets, which hold one only while they write.
var writeBuffers sync.Pool

var userAgent = fmt.Sprintf("Carillon (%s; %s; %s)", runtime.Version(), runtime.GOOS, runtime.GOARCH)

func newNetwork(o Options) *network {
	n := &network{header: baseHeader(o.Header)}
	if o.HTTPClient != nil {
		shared := *o.HTTPClient
		n.client = &shared
	} else {
		n.own = ownTransport(o.TLS)
		jar, _ := cookiejar.New(nil) // never fails
		n.client = &http.Client{Transport: n.own, Jar: jar}
	}
	n.client.Timeout = 0 // it would cut event streams; each request has its own limit
	n.direct = transportOf(n.client, o.TLS)
	n.dialer = webSocketDialer(n.client, n.direct)
	return n
}

func baseHeader(user http.Header) http.Header {
	header := http.Header{
		"User-Agent": {userAgent},
		// ASP.NET Core answers 401 instead of a redirect to a login page when it sees this.
		"X-Requested-With": {"XMLHttpRequest"},
	}
	for name, values := range user {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return header
}

// maxResponseHead bounds the head of an answer in bytes, as .NET's client does.
const maxResponseHead = 64 << 10

func ownTransport(config *tls.Config) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if theirs, ok := http.DefaultTransport.(*http.Transport); ok { // else an application has wrapped it
		t = theirs.Clone()
	}
	t.TLSClientConfig = config.Clone()
	t.MaxIdleConnsPerHost = 4
	if t.MaxResponseHeaderBytes == 0 { // net/http would read 10 MiB
		t.MaxResponseHeaderBytes = maxResponseHead
	}
	// Shorter than servers and proxies keep them, so that no POST meets a connection that is just
	// being closed.
	t.IdleConnTimeout = 30 * time.Second
	return t
}

// transportOf returns what WebSockets take over from the HTTP client: its Transport if that is net/http's, with config if
// it has no TLS settings.
func transportOf(client *http.Client, config *tls.Config) *http.Transport {
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	t, ok := transport.(*http.Transport)
	switch {
	case !ok:
		return &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config.Clone()}
	case t.TLSClientConfig == nil && config != nil:
		t = t.Clone()
		t.TLSClientConfig = config.Clone()
	}
	return t
}

// webSocketDialer takes from the HTTP client what a WebSocket handshake has in common with a request.
func webSocketDialer(client *http.Client, t *http.Transport) websocket.Dialer {
	d := websocket.Dialer{
		Jar:               client.Jar,
		NetDialContext:    t.DialContext,
		NetDialTLSContext: t.DialTLSContext,
		TLSClientConfig:   t.TLSClientConfig.Clone(),
		ReadBufferSize:    4 << 10,
		WriteBufferSize:   16 << 10,
		WriteBufferPool:   &writeBuffers,
	}
	if d.TLSClientConfig != nil {
		d.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	return d
}

// proxyFor returns the proxy for q; nil if there is none.
func (n *network) proxyFor(q *http.Request) (*url.URL, error) {
	if n.direct.Proxy == nil {
		return nil, nil
	}
	return n.direct.Proxy(q)
}

func (n *network) closeIdle() {
	if n.own != nil {
		n.own.CloseIdleConnections()
	}
}

// credentials are what requests to one target carry.
type credentials struct {
	token func(context.Context) (string, error)
	// renewable: asking again may bring another token.
	renewable bool
	// withheld: the request was redirected to somebody else, who is told no secrets.
	withheld bool
}

// issuedToken makes credentials of the token that a redirect brought. It replaces the application's.
func issuedToken(token *atomic.Pointer[string]) credentials {
	return credentials{token: func(context.Context) (string, error) { return *token.Load(), nil }}
}

func (n *network) headerWith(ctx context.Context, cred credentials) (http.Header, error) {
	header := maps.Clone(n.header)
	if cred.withheld {
		delete(header, "Authorization")
		delete(header, "Cookie")
		return header, nil
	}
	if cred.token == nil {
		return header, nil
	}
	token, err := isolate(ctx, func() (string, error) { return cred.token(ctx) })
	if err != nil {
		return nil, fmt.Errorf("client: access token: %w", err)
	}
	if token != "" {
		header["Authorization"] = []string{"Bearer " + token}
	}
	return header, nil
}

// request is one HTTP request to the hub.
type request struct {
	op          string
	method      string
	url         string
	body        []byte // nil: none
	contentType string
	// connection is the token of the connection that a refresh names in a header; "": none.
	connection string
	// eventStream has the request say so in the way of an EventSource, which a server recognizes even
	// when a proxy has dropped Accept.
	eventStream bool
	// repeatable lets net/http send the request again on another connection when the one that it kept was
	// just being closed: the second one does no harm.
	repeatable bool
	// once keeps net/http from sending a GET again when a connection broke: the answer to the first
	// one may have carried data.
	once bool
}

// maxHTTPRedirects that we follow ourselves; net/http allows a request as many.
const maxHTTPRedirects = 10

// do sends a request, and once more with a fresh token if the first answer is 401. The caller closes
// the body.
func (n *network) do(ctx context.Context, cred credentials, r request) (*http.Response, error) {
	for range maxHTTPRedirects {
		response, err := n.once(ctx, cred, r)
		if err != nil {
			return nil, err
		}
		to := redirection(response)
		switch {
		case response.StatusCode == http.StatusUnauthorized && cred.renewable:
			cred.renewable = false
		case to != nil && (r.once || r.connection != ""): // net/http does not follow these
			if cred = cred.forRedirect(to, response.Request.URL); cred.withheld {
				r.connection = ""
			}
			r.url = to.String()
		default:
			return response, nil
		}
		discard(response.Body)
	}
	return nil, fmt.Errorf("client: %s: too many redirects", r.op)
}

// redirection is where an answer sends a request that is to stay what it is; nil if it does not.
func redirection(r *http.Response) *url.URL {
	switch r.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, _ := r.Location()
		return to
	}
	return nil
}

// forRedirect is what a redirect's target may know.
func (c credentials) forRedirect(to, from *url.URL) credentials {
	if to.Host != from.Host || to.Scheme != from.Scheme && from.Scheme == "https" {
		return credentials{withheld: true}
	}
	return c
}

func (n *network) once(ctx context.Context, cred credentials, r request) (*http.Response, error) {
	header, err := n.headerWith(ctx, cred)
	if err != nil {
		return nil, err
	}
	// A POST without a body says so by Content-Length: 0; proxies that speak HTTP/1.0 need that.
	var body io.Reader = http.NoBody
	switch {
	case len(r.body) > 0:
		body = bytes.NewReader(r.body)
		header["Content-Type"] = []string{r.contentType}
	case r.once:
		body = new(unrepeatable)
	}
	if r.repeatable {
		header["Idempotency-Key"] = nil // so net/http is told; it does not send it
	}
	if r.eventStream {
		header["Accept"] = []string{"text/event-stream"}
		header["Cache-Control"] = []string{"no-cache"}
		delete(header, "X-Requested-With")
	}
	q, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, fmt.Errorf("client: %s: %w", r.op, withoutURL(err))
	}
	q.Header = header
	if host := header.Get("Host"); host != "" {
		q.Host = host
	}
	q.Close = n.isForwarded(q)
	client := n.client
	if r.connection != "" { // net/http would name the connection to any server that it is sent to
		header[connectionTokenHeader] = []string{r.connection}
		client = n.unredirected()
	}
	response, err := client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("client: %s: %w", r.op, withoutURL(err))
	}
	return response, nil
}

// unredirected is the client without redirects.
func (n *network) unredirected() *http.Client {
	c := *n.client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// isForwarded tells whether a proxy reads q itself instead of passing a tunnel on. Some (tinyproxy) close
// what they were going to keep, without a word; a message or a poll that meets that end cannot be
// sent again, since it may have arrived. So no connection is kept for another request.
func (n *network) isForwarded(q *http.Request) bool {
	if q.URL.Scheme != "http" {
		return false
	}
	proxy, err := n.proxyFor(q)
	return err == nil && proxy != nil && tunnel.Forwards(proxy)
}

// unrepeatable is an empty body that net/http does not know to be empty. It finds out before it
// writes, so that nothing of it is on the wire.
type unrepeatable struct{}

func (*unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }

// withoutURL strips the address that net/http puts into its errors: it contains the connection
// token, and errors end in logs.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// failure makes the error of an answer whose status means failure, and closes its body.
func failure(op string, response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 256))
	discard(response.Body)
	if isHTML(response.Header.Get("Content-Type")) {
		text = nil // a page for people, of some proxy
	}
	return &HTTPError{Op: op, StatusCode: response.StatusCode, Body: strings.ToValidUTF8(string(text), ""), RetryAfter: parseRetryAfter(response.Header)}
}

func isHTML(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return fold.Equal(strings.TrimSpace(media), "text/html")
}

// discard reads what little is left, so that the connection can be used again, and closes.
func discard(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10))
	body.Close()
}
