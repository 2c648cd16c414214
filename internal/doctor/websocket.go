package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/tunnel"
)

type webSocket struct {
	*session
	conn *websocket.Conn
	mu   sync.Mutex // guards writes
}

func (w *webSocket) connect() error {
	x, n := w.x, w.n
	dialer := websocket.Dialer{
		TLSClientConfig:  tlsConfig(x.options),
		HandshakeTimeout: answerPatience,
		Jar:              x.client.Jar,
	}
	at := n.address()
	through, err := x.proxyFor(at)
	if err != nil {
		return err
	}
	if through != nil {
		direct := &http.Transport{TLSClientConfig: tlsConfig(x.options)}
		dialer.NetDialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
			return tunnel.Dial(ctx, direct, through, address)
		}
	}
	at.Scheme = strings.Replace(at.Scheme, "http", "ws", 1)
	header := http.Header{}
	x.addHeader(header, n.token)
	conn, response, err := dialer.DialContext(w.ctx, at.String(), header) //nolint:bodyclose // of a handshake there is none to close
	if err != nil {
		return w.refused(response, withoutURL(err))
	}
	x.noteAnswer(response, nil)
	w.conn = conn
	context.AfterFunc(w.ctx, func() { _ = conn.Close() }) // ends receive
	return nil
}

// refused derives from the answer how a handshake was refused.
func (w *webSocket) refused(response *http.Response, err error) error {
	t := w.transport
	if response == nil {
		var slow interface{ Timeout() bool }
		switch {
		case errors.As(err, &slow) && slow.Timeout():
			t.refusal = swallowed
			return fmt.Errorf("the handshake was not answered within %v", answerPatience)
		case w.x.report.Proxy != "":
			t.refusal = connectRefused
			return fmt.Errorf("the forward proxy opens no tunnel (CONNECT): %w", err)
		}
		t.refusal = refused
		return err
	}
	page, _ := io.ReadAll(response.Body) // the dialer has buffered the body
	w.x.noteAnswer(response, page)
	t.Status = response.StatusCode
	t.refusal = refusalOf(response, page)
	return fmt.Errorf("the handshake was answered with status %d", t.Status)
}

// refusalOf derives from a status how a handshake was refused. A server that does not
// see Upgrade answers with an empty body: it takes the handshake for a poll or, if it
// is Carillon, for a bad request.
func refusalOf(r *http.Response, page []byte) refusal {
	html := strings.HasPrefix(r.Header.Get("Content-Type"), "text/html")
	switch {
	case html && r.StatusCode < http.StatusMultipleChoices:
		return answeredByPage
	case len(page) == 0 && (r.StatusCode == http.StatusOK || r.StatusCode == http.StatusBadRequest):
		return stripped
	}
	return refused
}

func (w *webSocket) send(text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.conn.SetWriteDeadline(time.Now().Add(answerPatience)) // the write tells
	return w.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

func (w *webSocket) receive(arrived func([]byte)) error {
	for {
		_, text, err := w.conn.ReadMessage()
		if err != nil {
			return err
		}
		arrived(text)
	}
}

func (w *webSocket) close() {} // its context has ended
