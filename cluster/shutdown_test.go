package cluster

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
)

// paused is a network connection whose writes after the first one wait for a signal.
type paused struct {
	net.Conn
	first   sync.Once
	reached chan struct{} // closed when a write waits
	resumed chan struct{}
}

func (p *paused) Write(b []byte) (int, error) {
	begins := false
	p.first.Do(func() { begins = true })
	if !begins {
		select {
		case <-p.reached:
		default:
			close(p.reached)
		}
		<-p.resumed
	}
	return p.Conn.Write(b)
}

// Shutdown does not wait for an idle network connection of HTTP/2, also if the handshake of TLS
// ends after it has begun.
func TestShutdownDuringAHandshake(t *testing.T) {
	t.Parallel()
	s := newSites(t, 1)[0]
	plain, err := net.Dial("tcp", s.node.self.address)
	if err != nil {
		t.Fatal(err)
	}
	slow := &paused{Conn: plain, reached: make(chan struct{}), resumed: make(chan struct{})}
	transport := &http.Transport{
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return slow, nil },
		TLSClientConfig: newTestCredentials(t, s.secrets...).config(),
		Protocols:       new(http.Protocols),
	}
	transport.Protocols.SetHTTP2(true)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running.Go(func() {
		if conn, err := transport.NewClientConn(ctx, "https", s.node.self.address); err == nil {
			<-ctx.Done()
			_ = conn.Close()
		}
	})
	<-slow.reached
	stopped := make(chan struct{})
	running.Go(func() {
		defer close(stopped)
		s.stop()
	})
	await(t, "the end of the listener", func() bool {
		c, err := net.Dial("tcp", s.node.self.address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(slow.resumed)
	<-stopped
}
