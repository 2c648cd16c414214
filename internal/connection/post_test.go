package connection

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/transports"
)

// hearing is an application that hears what is posted.
type hearing chan string

func (h hearing) Connect(transports.Connection) (transports.Receiver, error) { return h, nil }
func (h hearing) Receive(data []byte) error                                  { h <- string(data); return nil }
func (h hearing) Disconnected(error)                                         {}

// startPost posts to a connection whose transport has come and which the application does
// not have yet, and waits until the POST waits.
func startPost(ctx context.Context, t *testing.T, app transports.Application) (c *Connection, posted chan error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/hub?id=x", nil)
	c, err := NewRegistry(app, transports.Options{}).Create(r, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Claim(transports.ServerSentEvents, r); err != nil {
		t.Fatal(err)
	}
	posted = make(chan error, 1)
	go func() { posted <- c.Post(ctx, 0, []byte("at once")) }() // awaited by the test
	for waits := false; !waits; runtime.Gosched() {
		c.mu.Lock()
		waits = c.changed != notify.Gate{}
		c.mu.Unlock()
	}
	return c, posted
}

// A client may post as soon as it sees the begin of its event stream, before the
// application has the connection.
func TestPostsWaitForTheApplication(t *testing.T) {
	app := make(hearing, 1)
	c, posted := startPost(t.Context(), t, app)
	if err := c.Open(mute{}, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-posted; err != nil {
		t.Error(err)
	}
	if heard := <-app; heard != "at once" {
		t.Error(heard)
	}
	c.Abort(transports.ErrCut)
}

// A POST does not wait for an application that never gets the connection.
func TestPostsDoNotWaitForEver(t *testing.T) {
	c, posted := startPost(t.Context(), t, make(hearing, 1))
	c.Abort(transports.ErrCut)
	if err := <-posted; !errors.Is(err, transports.ErrEnded) {
		t.Error(err)
	}
	c, posted = startPost(t.Context(), t, make(hearing, 1))
	c.Close(transports.ErrShutdown)
	if err := <-posted; err != nil {
		t.Error(err)
	}
	c.Abort(transports.ErrCut)
	ctx, cancel := context.WithCancel(t.Context())
	c, posted = startPost(ctx, t, make(hearing, 1))
	cancel()
	if err := <-posted; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.Abort(transports.ErrCut)
}

// A POST that its deadline ends before the application has the connection is not answered as
// if it had been taken.
func TestPostAtItsDeadline(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/hub", nil)
	registry := NewRegistry(make(hearing, 1), transports.Options{})
	n := promise(t, registry, r, Terms{HasToken: true})
	c := registry.Find(n.Token())
	if _, err := c.Claim(transports.ServerSentEvents, r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	post := httptest.NewRequestWithContext(ctx, http.MethodPost, "/hub?id="+n.Token(), strings.NewReader("x"))
	w := httptest.NewRecorder()
	NewHandler(registry, nil).ServeHTTP(w, post)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
	c.Abort(transports.ErrCut)
}
