package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/carillon-go/carillon/auth"
)

// newServer returns the server of the link.
func newServer(n *Node, c *credentials) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:           http.HandlerFunc(n.serve),
		TLSConfig:         c.config(),
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug), // strangers can provoke these lines
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingInterval, PingTimeout: pingTimeout, WriteByteTimeout: pingInterval + pingTimeout,
		},
	}
}

// serve answers another node.
func (n *Node) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == helloPath {
		reply(w, hello{linkVersion, n.self.pid.String()})
		return
	}
	if r.Header.Get(forHeader) != n.self.pid.String() {
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	if !n.enter() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer n.running.Done()
	switch r.URL.Path {
	case findPath:
		n.serveFind(w, r)
	case forwardPath:
		n.serveForward(w, r)
	default: // of a later release
		w.WriteHeader(http.StatusNotFound)
	}
}

func reply(w http.ResponseWriter, message any) {
	b, err := json.Marshal(message)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(b)
}

func (n *Node) serveFind(w http.ResponseWriter, r *http.Request) {
	var question find
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&question); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	asking, err := question.Asking.process()
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	reply(w, n.Hub(question.Hub).find(&question, asking))
}

func (n *Node) serveForward(w http.ResponseWriter, r *http.Request) {
	var f forwarded
	if err := readMessage(r.Body, &f); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body := io.Reader(r.Body)
	if f.isShort() { // read before anything waits, so that the others on this network connection can go on
		whole, err := io.ReadAll(io.LimitReader(r.Body, f.Length))
		if err != nil || int64(len(whole)) < f.Length {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = bytes.NewReader(whole)
	}
	ctx := r.Context()
	if f.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.Wait)
		defer cancel()
	}
	request, err := f.request(r.WithContext(ctx), body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	hub := n.Hub(f.Hub)
	local := hub.await(r.Context(), f.Key)
	if local == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	n.counts.served.Add(1)
	relayed := &relay{w: w, header: http.Header(f.Answer)}
	if relayed.header == nil {
		relayed.header = http.Header{}
	}
	local.ServeHTTP(relayed, request)
	relayed.finish()
}

// maxShort is the longest body that is read as a whole.
const maxShort = 1 << 16

func (f *forwarded) isShort() bool { return f.Length >= 0 && f.Length <= maxShort }

// request returns the request that the client sent to the first node.
func (f *forwarded) request(link *http.Request, body io.Reader) (*http.Request, error) {
	to, err := url.ParseRequestURI(string(f.URI))
	if err != nil {
		return nil, err
	}
	if to.Path != string(f.Path) {
		to.Path, to.RawPath = string(f.Path), ""
	}
	to.Scheme = string(f.Scheme)
	ctx := context.WithValue(link.Context(), forwardedKey{}, true)
	if u := f.User.decode(); u != nil {
		ctx = auth.WithUser(ctx, u)
	}
	r := &http.Request{
		Method: string(f.Method), URL: to, Header: http.Header(f.Header), Body: io.NopCloser(body), ContentLength: f.Length,
		Proto: link.Proto, ProtoMajor: link.ProtoMajor, ProtoMinor: link.ProtoMinor,
		Host: string(f.Host), RemoteAddr: string(f.Remote), RequestURI: string(f.URI),
	}
	if f.TLS {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	if f.Length == 0 {
		r.Body = http.NoBody
	}
	return r.WithContext(ctx), nil
}

type forwardedKey struct{}
