package transports

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// request is the request that opened a transport, as text: parsed it is several times
// as large, and few applications look at it.
type request struct {
	ctx        context.Context
	text       string // as under HTTP/1.1, but for the protocol's name
	remoteAddr string
	tls        *tls.ConnectionState
}

// texts are buffers that requests are written into: their text has no room to spare.
var texts = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func pack(r *http.Request) *request {
	b := texts.Get().(*bytes.Buffer)
	defer texts.Put(b)
	b.Reset()
	b.WriteString(r.Method)
	b.WriteByte(' ')
	b.WriteString(r.URL.RequestURI())
	b.WriteByte(' ')
	b.WriteString(r.Proto)
	b.WriteString("\r\nHost: ")
	b.WriteString(r.Host)
	b.WriteString("\r\n")
	_ = r.Header.Write(b) // a buffer takes everything
	b.WriteString("\r\n")
	return &request{
		ctx: context.WithoutCancel(r.Context()), text: b.String(),
		remoteAddr: r.RemoteAddr, tls: r.TLS,
	}
}

func (p *request) unpack() *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(p.text)))
	if err != nil { // the HTTP server has let through what it does not read
		r = &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}}
	}
	r.RemoteAddr, r.TLS = p.remoteAddr, p.tls
	return r.WithContext(p.ctx)
}
