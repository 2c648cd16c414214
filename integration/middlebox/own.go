package middlebox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// own returns the boxes that exist in no package. Each reproduces one observed behaviour.
func own() []Kind {
	return []Kind{
		{Name: "B-strip", start: handled(strip)},
		{Name: "B-swallow", start: handled(swallow)},
		{Name: "B-drop", start: handled(drop)},
		{Name: "B-hold", start: handled(hold)},
		{Name: "B-idle", start: idle(10 * time.Second)},
		{Name: "B-html", start: handled(html)},
		{Name: "B-accept", start: handled(dropAccept)},
	}
}

// handled starts an HTTP box. handle returns its handler and gets proxy, which forwards
// requests.
func handled(handle func(proxy *httputil.ReverseProxy) http.HandlerFunc) func(*testing.T, *builder) {
	return func(t *testing.T, b *builder) {
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: b.upstream})
		proxy.FlushInterval = -1
		server := &http.Server{Handler: handle(proxy), ReadHeaderTimeout: time.Minute}
		listener := listen(t, b.port)
		var running sync.WaitGroup
		running.Go(func() { _ = server.Serve(listener) })
		t.Cleanup(func() { _ = server.Close(); running.Wait() })
	}
}

func listen(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+portText(port))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func isUpgrade(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// strip removes the hop-by-hop headers of a handshake and forwards the rest.
func strip(proxy *httputil.ReverseProxy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
		proxy.ServeHTTP(w, r)
	}
}

// swallow accepts an upgrade request and never answers it.
func swallow(proxy *httputil.ReverseProxy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if isUpgrade(r) {
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}
}

// drop forwards an upgrade request, drops the 101 with its connection, and never answers. A
// development server in Node without WebSocket support does this.
func drop(proxy *httputil.ReverseProxy) http.HandlerFunc {
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.StatusCode == http.StatusSwitchingProtocols {
			return errDropped // closes the connection
		}
		return nil
	}
	proxy.ErrorHandler = func(_ http.ResponseWriter, r *http.Request, err error) {
		if errors.Is(err, errDropped) {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	return proxy.ServeHTTP
}

var errDropped = errors.New("the answer is dropped")

// hold delays every response, including its head, until the body is complete.
func hold(proxy *httputil.ReverseProxy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if isUpgrade(r) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		held := &heldResponse{header: http.Header{}, status: http.StatusOK}
		if whole := held.from(proxy, r); !whole {
			panic(http.ErrAbortHandler) // the server aborted, so the box does, too
		}
		for name, values := range held.header {
			w.Header()[name] = values
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes())
	}
}

type heldResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldResponse) Header() http.Header         { return h.header }
func (h *heldResponse) Write(p []byte) (int, error) { return h.body.Write(p) }
func (h *heldResponse) WriteHeader(status int)      { h.status = status }

// from collects the response. whole is false if the response was aborted.
func (h *heldResponse) from(proxy http.Handler, r *http.Request) (whole bool) {
	defer func() {
		if recover() != nil {
			whole = false
		}
	}()
	proxy.ServeHTTP(h, r)
	return true
}

// html answers upgrade requests with a page, as a captive portal does.
func html(proxy *httputil.ReverseProxy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if isUpgrade(r) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><body>Please log in</body></html>")
			return
		}
		proxy.ServeHTTP(w, r)
	}
}

// dropAccept removes Accept, does not use chunks, and closes the connection after each
// response.
func dropAccept(proxy *httputil.ReverseProxy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if isUpgrade(r) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		r.Header.Del("Accept")
		w.Header().Set("Transfer-Encoding", "identity") // not chunked: the end of the connection ends the body
		w.Header().Set("Connection", "close")
		proxy.ServeHTTP(w, r)
	}
}

// idle is a firewall: it forwards raw TCP and resets a connection after a silence of limit.
func idle(limit time.Duration) func(*testing.T, *builder) {
	return func(t *testing.T, b *builder) {
		ctx, stop := context.WithCancel(context.Background())
		listener := listen(t, b.port)
		var running sync.WaitGroup
		running.Go(func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				running.Go(func() { relay(ctx, c.(*net.TCPConn), b.upstream, limit) })
			}
		})
		t.Cleanup(func() { stop(); _ = listener.Close(); running.Wait() })
	}
}

func relay(ctx context.Context, client *net.TCPConn, upstream string, limit time.Duration) {
	defer func() { _ = client.Close() }()
	c, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer func() { _ = server.Close() }()
	cut := func() {
		_ = client.SetLinger(0) // a reset, as a firewall sends it
		_ = server.SetLinger(0)
		_ = client.Close()
		_ = server.Close()
	}
	watch := time.AfterFunc(limit, cut)
	defer watch.Stop()
	stop := context.AfterFunc(ctx, cut)
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pump(server, client, watch, limit) })
	both.Go(func() { pump(client, server, watch, limit) })
	both.Wait()
}

// pump copies until one side ends, and then closes the writing side of the other connection.
func pump(to, from *net.TCPConn, watch *time.Timer, limit time.Duration) {
	defer func() { _ = to.CloseWrite() }()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			watch.Reset(limit)
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
