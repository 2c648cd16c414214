package cluster

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
)

// newServer returns the server of the link.
func newServer(n *Node, c *credentials) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	config := c.config()
	config.NextProtos = []string{streamProtocol} // and those of HTTP
	config.DynamicRecordSizingDisabled = true
	return &http.Server{
		Handler:           http.HandlerFunc(n.serve),
		TLSConfig:         config,
		Protocols:         protocols,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){streamProtocol: n.serveQuestions},
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug), // strangers can provoke these lines
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingInterval, PingTimeout: pingTimeout, WriteByteTimeout: pingInterval + pingTimeout,
		},
	}
}

// serve serves a request that another node forwards.
func (n *Node) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != forwardPath: // of a later release
		w.WriteHeader(http.StatusNotFound)
	case r.Header.Get(forHeader) != n.self.pid.String():
		w.WriteHeader(http.StatusMisdirectedRequest)
	case !n.enter():
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		defer n.running.Done()
		n.serveForward(w, r)
	}
}

func (n *Node) serveForward(w http.ResponseWriter, r *http.Request) {
	var f forwarded
	if err := readMessage(r.Body, &f); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	from, err := f.Asking.process()
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	hub := n.known(f.Hub)
	ctx, stay, end := hub.wait(r.Context(), &f, from.pid)
	defer end()
	request, err := f.request(r.WithContext(ctx))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	local := hub.await(ctx, f.Key)
	if local == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	n.counts.served.Add(1)
	_ = http.NewResponseController(w).EnableFullDuplex() // the hub may answer before it reads a long body
	answer := &relay{w: w, header: http.Header(f.Answer), streams: stay}
	if f.Acks {
		answer.ack, answer.doubt = r.Body, func() { local.End(f.Key) }
	}
	if answer.header == nil {
		answer.header = http.Header{}
	}
	local.ServeHTTP(answer, request)
	answer.finish()
}

// maxShort is the longest body that is read as a whole.
const maxShort = 1 << 16

func (f *forwarded) isShort() bool { return f.Length >= 0 && f.Length <= maxShort }

// request returns the request that the client sent to the first node.
func (f *forwarded) request(link *http.Request) (*http.Request, error) {
	body, err := f.body(link.Body)
	if err != nil {
		return nil, err
	}
	to, err := url.ParseRequestURI(string(f.URI))
	if err != nil {
		return nil, err
	}
	if to.Path != string(f.Path) {
		to.Path, to.RawPath = string(f.Path), ""
	}
	to.Scheme = string(f.Scheme)
	ctx := connection.WithForwarded(link.Context())
	if u := f.User.decode(); u != nil {
		ctx = auth.WithUser(ctx, u)
	}
	r := &http.Request{
		Method: string(f.Method), URL: to, Header: http.Header(f.Header), Body: body, ContentLength: f.Length,
		Proto: link.Proto, ProtoMajor: link.ProtoMajor, ProtoMinor: link.ProtoMinor,
		Host: string(f.Host), RemoteAddr: string(f.Remote), RequestURI: string(f.URI),
	}
	if _, _, ok := http.ParseHTTPVersion(f.Proto); ok {
		r.Proto = f.Proto // the numbers remain those of the link, which the answer takes
	}
	if f.TLS {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return r.WithContext(ctx), nil
}

// body returns the body of the request. A short one is read before anything waits, so that the
// other requests on the network connection can go on.
func (f *forwarded) body(link io.Reader) (io.ReadCloser, error) {
	switch {
	case f.Length == 0:
		return http.NoBody, nil
	case !f.isShort():
		return io.NopCloser(link), nil
	}
	whole := make([]byte, f.Length)
	_, err := io.ReadFull(link, whole)
	return io.NopCloser(bytes.NewReader(whole)), err
}
