package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/transports"
)

// What a cell shows.
const (
	works   = "yes"
	refused = "refused"
	ends    = "ends, comes back"
)

// byTransport has a client, which may use one transport only, call a method, be silent for
// longer than requests may take, get a broadcast, and stop.
func byTransport(t *testing.T, s stack, p protocol, kind client.Transport) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := newSite(t, s, p, transports.Options{})
	told := make(chan string, 10)
	c, err := h.dial(ctx, []client.Transport{kind}, told)
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return refused, nil
	}
	return works, h.converse(ctx, c, told)
}

// byChoice has a client use the transports that the endpoint offers, and returns the short name
// of the one that it uses.
func byChoice(t *testing.T, s stack, p protocol, _ client.Transport) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := newSite(t, s, p, transports.Options{})
	told := make(chan string, 10)
	c, err := h.dial(ctx, nil, told)
	if err != nil {
		return "", err
	}
	used := shortNames[c.Transport()]
	return used, h.converse(ctx, c, told)
}

var shortNames = map[client.Transport]string{client.WebSockets: "WS", client.ServerSentEvents: "SSE", client.LongPolling: "LP"}

func (h *site) converse(ctx context.Context, c *client.HubConnection, told <-chan string) error {
	if _, err := await(ctx, h.connected, "the hub has no connection"); err != nil {
		return err
	}
	if echoed, err := client.Invoke[string](ctx, c, "Echo", "hello"); err != nil || echoed != "hello" {
		return fmt.Errorf("echo: %q, %w", echoed, err)
	}
	pause()
	if err := h.broadcast(ctx); err != nil {
		return err
	}
	if _, err := await(ctx, told, "the broadcast does not come"); err != nil {
		return err
	}
	if err := c.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if cause, err := await(ctx, h.ended, "the hub is not told of the end"); err != nil || cause != nil {
		return errors.Join(cause, err)
	}
	return nil
}

// byRequests polls as any client does, which takes no answer but 200 for well.
func byRequests(t *testing.T, s stack, p protocol, _ client.Transport) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := newSite(t, s, p, transports.Options{})
	token, err := h.token(ctx)
	if err != nil {
		return "", err
	}
	path := "/hub?id=" + token
	if status, body, err := h.say(ctx, http.MethodGet, path, ""); err != nil || status != http.StatusOK || body != "" {
		return "", fmt.Errorf("first poll: %d %q, %w", status, body, err)
	}
	if status, _, err := h.say(ctx, http.MethodPost, path, `{"protocol":"json","version":1}`+"\x1e"); err != nil || status != http.StatusOK {
		return "", fmt.Errorf("handshake: %d, %w", status, err)
	}
	time.AfterFunc(requestTimeout+requestTimeout/4, func() { _ = h.broadcast(ctx) })
	if err := h.pollUntil(ctx, path, "news"); err != nil {
		return "", err
	}
	if status, _, err := h.say(ctx, http.MethodDelete, path, ""); err != nil || status != http.StatusAccepted {
		return "", fmt.Errorf("end: %d, %w", status, err)
	}
	cause, err := await(ctx, h.ended, "the hub is not told of the end")
	return works, errors.Join(cause, err)
}

func (h *site) pollUntil(ctx context.Context, path, want string) error {
	for {
		status, body, err := h.say(ctx, http.MethodGet, path, "")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("poll: %d %q, %w", status, body, err)
		}
		if strings.Contains(body, want) {
			return nil
		}
	}
}

// byListener reads a plain event stream, which is silent for longer than requests may take.
func byListener(t *testing.T, s stack, p protocol, _ client.Transport) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := newSite(t, s, p, transports.Options{})
	answer, err := h.ask(ctx, http.MethodGet, "/hub/events", "text/event-stream", "")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return refused, nil
	}
	if _, err := await(ctx, h.connected, "the hub has no listener"); err != nil {
		return "", err
	}
	time.AfterFunc(requestTimeout+requestTimeout/4, func() { _ = h.broadcast(ctx) })
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "news") {
			return works, nil
		}
	}
	if lines.Err() != nil {
		return "", lines.Err()
	}
	return ends, nil // in order
}

// byHeldStream opens an event stream for which no handshake comes: its end must not look as if
// it were in order.
func byHeldStream(t *testing.T, s stack, p protocol, _ client.Transport) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := newSite(t, s, p, transports.Options{HoldTimeout: 300 * time.Millisecond})
	token, err := h.token(ctx)
	if err != nil {
		return "", err
	}
	answer, err := h.ask(ctx, http.MethodGet, "/hub?id="+token, "text/event-stream", "")
	if err != nil {
		return works, nil // it was reset before its first byte
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return refused, nil
	}
	if body, err := io.ReadAll(answer.Body); err == nil {
		return "", fmt.Errorf("a stream that is held ends in order after %q", body)
	}
	return works, nil
}
