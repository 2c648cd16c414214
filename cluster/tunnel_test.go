package cluster

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// hijackable is the writer of a request on a network connection.
type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// A tunnel ends soon after one end has closed it, also if the other one reads nothing.
func TestTunnelToAnEndThatDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(client, owner net.Conn){
		"client": func(_, owner net.Conn) { _, _ = io.WriteString(owner, "data"); _ = owner.Close() },
		"owner":  func(client, _ net.Conn) { _, _ = io.WriteString(client, "data"); _ = client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				near, client := net.Pipe()
				body, owner := net.Pipe()
				done := make(chan error, 1)
				go func() {
					done <- tunnel(t.Context(), hijackable{httptest.NewRecorder(), near}, &http.Response{Body: body})
				}()
				if _, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil {
					t.Fatal(err)
				}
				write(client, owner)
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
