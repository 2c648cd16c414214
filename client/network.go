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
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/internal/tunnel"
)

// network makes the requests of one HubConnection. It sets the headers, tokens, cookies, proxies
// and TLS settings of all transports.
type network struct {
	client *http.Client
	// dialer does the handshakes of WebSockets. direct is used to reach the server and proxies.
	dialer websocket.Dialer
	direct *http.Transport
	header http.Header
	// own is a transport used by this connection alone. Its idle connections are closed at the end.
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
		// With this header ASP.NET Core answers 401 and does not redirect to a login page.
		"X-Requested-With": {"XMLHttpRequest"},
	}
	for name, values := range user {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return header
}

// maxResponseHead is the limit in bytes of the head of a response, as in the .NET client.
const maxResponseHead = 64 << 10

func ownTransport(config *tls.Config) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if theirs, ok := http.DefaultTransport.(*http.Transport); ok { // otherwise an application has wrapped it
		t = theirs.Clone()
	}
	t.TLSClientConfig = config.Clone()
	t.MaxIdleConnsPerHost = 4
	if t.MaxResponseHeaderBytes == 0 { // net/http would read 10 MiB
		t.MaxResponseHeaderBytes = maxResponseHead
	}
	// This is shorter than the limit of servers and proxies, so that a POST does not use a
	// connection that is just being closed.
	t.IdleConnTimeout = 30 * time.Second
	return t
}

// transportOf returns the settings that WebSockets take from the HTTP client: its Transport if that
// is an *http.Transport, with config if it has no TLS settings.
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

// webSocketDialer takes the settings of the HTTP client that also apply to a WebSocket handshake.
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

// credentials are sent with requests to one target.
type credentials struct {
	token func(context.Context) (string, error)
	// renewable is set if another call of token may return another token.
	renewable bool
	// withheld is set if the request was redirected to another host, which must not get secrets.
	withheld bool
}

// issuedToken returns credentials with the token of a redirect. It replaces the application's
// token.
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
	var token string
	err := guard.Call(ctx, func() (err error) {
		token, err = cred.token(ctx)
		return err
	})
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
	// eventStream makes the request look like one of an EventSource. A server recognizes it even if
	// a proxy has dropped Accept.
	eventStream bool
	// repeatable lets net/http send the request again on another connection if the server was just
	// closing the kept one. A second request does no harm.
	repeatable bool
	// once prevents net/http from sending a GET again after a connection broke: the first response
	// may have carried data.
	once bool
}

// maxHTTPRedirects is the limit of redirects that we follow ourselves; it equals that of net/http.
const maxHTTPRedirects = 10

// do sends a request. If the response is 401, it repeats the request once with a fresh token. The
// caller closes the body.
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

// redirection returns the target of a redirect that keeps the request unchanged, or nil.
func redirection(r *http.Response) *url.URL {
	switch r.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, _ := r.Location()
		return to
	}
	return nil
}

// forRedirect returns the credentials that the target of a redirect may get.
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
	// A POST without a body has Content-Length: 0; proxies that use HTTP/1.0 need that.
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
	if r.once { // or net/http sends Transfer-Encoding: chunked if it does not see within 200 ms that the body is empty
		q.TransferEncoding = []string{"identity"}
	}
	if host := header.Get("Host"); host != "" {
		q.Host = host
	}
	q.Close = n.isForwarded(q)
	client := n.client
	if r.connection != "" { // net/http would name the connection to any server that it is sent to
		header[connectionTokenHeader] = []string{r.connection}
		unredirected := *n.client
		unredirected.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		client = &unredirected
	}
	response, err := client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("client: %s: %w", r.op, withoutURL(err))
	}
	return response, nil
}

// isForwarded reports whether a proxy reads q itself and does not just forward a tunnel. Some
// proxies (tinyproxy) close connections that they were going to keep, without notice. A message or
// a poll that meets that end cannot be sent again, because it may have arrived. So no connection is
// kept for another request.
func (n *network) isForwarded(q *http.Request) bool {
	if q.URL.Scheme != "http" {
		return false
	}
	proxy, err := n.proxyFor(q)
	return err == nil && proxy != nil && tunnel.Forwards(proxy)
}

// unrepeatable is an empty body that net/http does not recognize as empty. net/http reads it before
// it writes, so nothing of it is sent.
type unrepeatable struct{}

func (*unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }

// withoutURL removes the URL that net/http puts into its errors. It contains the connection token,
// and errors are logged.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// failure returns the error of a response with a status that means failure. It closes the body.
func failure(op string, response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 256))
	discard(response.Body)
	if isOfType(response, "text/html") {
		text = nil // an HTML page of a proxy
	}
	return &HTTPError{Op: op, StatusCode: response.StatusCode, Body: strings.ToValidUTF8(string(text), ""), Reason: refusalReason(response), RetryAfter: parseRetryAfter(response.Header)}
}

// refusalReason returns the description in the challenge of a response with the status 401.
func refusalReason(response *http.Response) string {
	const maxReason = 256
	_, rest, found := strings.Cut(response.Header.Get("WWW-Authenticate"), `error_description="`)
	if response.StatusCode != http.StatusUnauthorized || !found {
		return ""
	}
	reason, _, _ := strings.Cut(rest, `"`)
	return strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}

// isOfType reports whether the response has a media type, with or without parameters.
func isOfType(response *http.Response, mediaType string) bool {
	media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	return fold.Equal(strings.TrimSpace(media), mediaType)
}

// discard reads the little that is left, so that the connection can be reused, and closes the body.
func discard(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10))
	body.Close()
}
