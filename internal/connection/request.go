package connection

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// request is the request that opened a transport, as text: a parsed one is several times as
// large, and few applications read it.
type request struct {
	ctx        context.Context
	text       string // in the form of HTTP/1.1, with the protocol's own name
	remoteAddr string
	tls        *tls.ConnectionState
	pattern    string   // of the mux that routed the request
	wildcards  []string // the values of the pattern's wildcards, in its order
}

// opening is the request that opened a connection. It is set once.
type opening struct {
	request atomic.Pointer[request]
}

// Request implements transports.Connection. It is nil before the opening.
func (o *opening) Request() *http.Request {
	if p := o.request.Load(); p != nil {
		return p.unpack()
	}
	return nil
}

// RequestContext implements transports.Connection.
func (o *opening) RequestContext() context.Context {
	if p := o.request.Load(); p != nil {
		return p.ctx
	}
	return context.Background()
}

func pack(r *http.Request) *request {
	var b strings.Builder
	size, _ := headSize(r)
	b.Grow(size)
	b.WriteString(r.Method)
	b.WriteByte(' ')
	b.WriteString(r.URL.RequestURI())
	b.WriteByte(' ')
	b.WriteString(r.Proto)
	b.WriteString("\r\nHost: ")
	b.WriteString(r.Host)
	b.WriteString("\r\n")
	_ = r.Header.Write(&b) // a builder takes everything
	b.WriteString("\r\n")
	p := &request{
		ctx: context.WithoutCancel(r.Context()), text: strings.Clone(b.String()),
		remoteAddr: r.RemoteAddr, tls: r.TLS, pattern: r.Pattern,
	}
	for _, name := range wildcards(r.Pattern) {
		p.wildcards = append(p.wildcards, strings.Clone(r.PathValue(name)))
	}
	return p
}

// wildcards returns the names of the wildcards of a pattern of http.ServeMux or of chi, which may
// have a regular expression after the name.
func wildcards(pattern string) (names []string) {
	for {
		_, rest, found := strings.Cut(pattern, "{")
		if !found {
			return names
		}
		name, after, _ := strings.Cut(rest, "}")
		name, _, _ = strings.Cut(name, ":")
		names, pattern = append(names, strings.TrimSuffix(name, "...")), after
	}
}

// size returns the number of bytes that p keeps; 0 for nil.
func (p *request) size() int64 {
	if p == nil {
		return 0
	}
	size := len(p.text)
	for _, value := range p.wildcards {
		size += len(value)
	}
	return int64(size)
}

func (p *request) unpack() *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(p.text)))
	if err != nil { // the HTTP server accepted a request that ReadRequest refuses
		r = &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}}
	}
	r.RemoteAddr, r.TLS, r.Pattern = p.remoteAddr, p.tls, p.pattern
	for i, name := range wildcards(p.pattern) {
		r.SetPathValue(name, p.wildcards[i])
	}
	return r.WithContext(p.ctx)
}
