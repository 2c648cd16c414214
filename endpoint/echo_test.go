package endpoint_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// echo sends back what comes.
type echo struct{}

func (echo) Connect(c transports.Connection) (transports.Receiver, error) { return &echoing{c}, nil }

type echoing struct{ c transports.Connection }

func (e *echoing) Receive(data []byte) error {
	return e.c.SendWait(context.Background(), frame.New(bytes.Clone(data), false))
}
func (e *echoing) Disconnected(error) {}

func startEcho(t *testing.T) string {
	t.Helper()
	e := endpoint.NewRaw(echo{}, endpoint.Options{})
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return server.URL + "/echo"
}

func open(t testing.TB, url string) string {
	t.Helper()
	response, err := http.Post(url+"/negotiate?negotiateVersion=1", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return url + "?id=" + readToken(t, response)
}

// readToken returns the connection token in the answer to a negotiation.
func readToken(t testing.TB, response *http.Response) string {
	t.Helper()
	var offer signalr.Negotiation
	if err := json.NewDecoder(response.Body).Decode(&offer); err != nil {
		t.Fatal(err)
	}
	return offer.ConnectionToken
}

func post(t *testing.T, url, text string) {
	t.Helper()
	response, err := http.Post(url, "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
}

func TestEchoWebSocket(t *testing.T) {
	url := open(t, startEcho(t))
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range []string{"one", strings.Repeat("two", 50_000), "žluťoučký"} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for got.Len() < len(text) {
			_, b, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			got.Write(b)
		}
		if got.String() != text {
			t.Errorf("%d bytes came back as %d", len(text), got.Len())
		}
	}
	if err := c.WriteMessage(websocket.CloseMessage, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Error(err)
	}
}

func TestEchoEventStream(t *testing.T) {
	url := open(t, startEcho(t))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	expect(":\r\n")
	post(t, url, "one")
	expect("data: one\r\n\r\n")
	post(t, url, "two")
	expect("data: two\r\n\r\n")
}

func TestEchoLongPolling(t *testing.T) {
	url := open(t, startEcho(t))
	poll := func() (int, string) {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if status, body := poll(); status != 200 || body != "" {
		t.Fatal(status, body)
	}
	post(t, url, "one ")
	post(t, url, "two")
	if status, body := poll(); status != 200 || body != "one two" {
		t.Error(status, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Error(response.Status)
	}
	if status, body := poll(); status != 404 {
		t.Error(status, body)
	}
}
