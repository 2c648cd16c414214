package transports_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/transports"
)

// client is the client's end of a connection, over any transport.
type client interface {
	send(text string)
	// receive returns the next data. It returns io.EOF after an orderly end, and another
	// error if the connection was cut.
	receive() (string, error)
	// drop closes the network connection without notice.
	drop()
	// leave closes the connection in the transport's own way.
	leave()
}

// negotiate creates a connection and returns the URL with its token.
func (s *server) negotiate() string {
	s.t.Helper()
	c, err := s.registry.Create(&http.Request{}, true)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.http.URL + "/?id=" + c.Token()
}

// dial opens the transport that the server carries.
func (s *server) dial(url string) client {
	s.t.Helper()
	switch s.kind {
	case transports.WebSockets:
		return dialWebSocket(s.t, url)
	case transports.ServerSentEvents:
		return dialEventStream(s.t, url)
	default:
		return dialPolls(s.t, url)
	}
}

func (s *server) connect() (client, *peer) {
	s.t.Helper()
	c := s.dial(s.negotiate())
	return c, s.accept()
}

type webSocketClient struct {
	t    *testing.T
	conn *websocket.Conn
}

func dialWebSocket(t *testing.T, url string) client {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &webSocketClient{t, conn}
}

func (c *webSocketClient) send(text string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *webSocketClient) receive() (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	_, b, err := c.conn.ReadMessage()
	if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return "", io.EOF
	}
	return string(b), err
}

func (c *webSocketClient) drop() { _ = c.conn.NetConn().Close() }

func (c *webSocketClient) leave() {
	_ = c.conn.WriteMessage(websocket.CloseMessage, nil)
	for {
		if _, err := c.receive(); err != nil {
			return
		}
	}
}

// postClient sends by POST. It is the common part of the other two clients. Each has HTTP
// connections of its own, so dropping one affects no other client.
type postClient struct {
	t      *testing.T
	url    string
	http   *http.Client
	cancel context.CancelFunc
	ctx    context.Context
}

func newPostClient(t *testing.T, url string) postClient {
	transport := &http.Transport{DialContext: (&net.Dialer{}).DialContext}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); transport.CloseIdleConnections() })
	return postClient{t: t, url: url, http: &http.Client{Transport: transport}, ctx: ctx, cancel: cancel}
}

func (c *postClient) do(method string, body io.Reader, accept string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(c.ctx, method, c.url, body)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return c.http.Do(r)
}

func (c *postClient) send(text string) {
	c.t.Helper()
	response, err := c.do(http.MethodPost, strings.NewReader(text), "")
	if err != nil {
		c.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		c.t.Fatal(response.Status)
	}
}

func (c *postClient) drop() { c.cancel() }

type eventStreamClient struct {
	postClient
	body  io.ReadCloser
	lines *bufio.Reader
}

func dialEventStream(t *testing.T, url string) client {
	t.Helper()
	c := &eventStreamClient{postClient: newPostClient(t, url)}
	response, err := c.do(http.MethodGet, nil, "text/event-stream")
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	c.body, c.lines = response.Body, bufio.NewReader(response.Body)
	if prelude, err := c.lines.ReadString('\n'); err != nil || prelude != ":\r\n" {
		t.Fatalf("the stream begins with %q, %v", prelude, err)
	}
	return c
}

func (c *eventStreamClient) receive() (string, error) {
	var event []string
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			return strings.Join(event, "\n"), nil
		}
		event = append(event, strings.TrimPrefix(line, "data: "))
	}
}

func (c *eventStreamClient) leave() { _ = c.body.Close(); c.cancel() }

type pollClient struct{ postClient }

func dialPolls(t *testing.T, url string) client {
	t.Helper()
	c := &pollClient{newPostClient(t, url)}
	if text, err := c.poll(); err != nil || text != "" {
		t.Fatalf("the first poll: %q, %v", text, err)
	}
	return c
}

func (c *pollClient) poll() (string, error) {
	response, err := c.do(http.MethodGet, nil, "")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "", err
	case response.StatusCode == http.StatusOK:
		return string(body), nil
	case response.StatusCode == http.StatusNoContent:
		return "", io.EOF
	}
	return "", http.ErrServerClosed
}

// receive polls until data arrives.
func (c *pollClient) receive() (string, error) {
	for {
		text, err := c.poll()
		if text != "" || err != nil {
			return text, err
		}
	}
}

func (c *pollClient) leave() {
	response, err := c.do(http.MethodDelete, nil, "")
	if err != nil {
		c.t.Error(err)
		return
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		c.t.Error(response.Status)
	}
}
