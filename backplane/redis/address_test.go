//go:build unix

package redis

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// connects expects that two brokers reach each other.
func (s *server) connects(o Options) {
	s.t.Helper()
	var in inbox
	one, two := s.broker(o), s.broker(o)
	for _, b := range []*Broker{one, two} {
		if err := b.Subscribe(s.t.Context(), &in, "a"); err != nil {
			s.t.Fatal(err)
		}
	}
	s.connected(one, two)
	if n := publish(s.t, one, "x", "a"); n != 2 {
		s.t.Errorf("%d receivers", n)
	}
	s.eventually("both receive", func() bool { return in.text() == "a=x a=x" })
}

func TestTLS(t *testing.T) {
	s := newServer(t)
	s.Password = "p/a:s#s"
	root, err := os.ReadFile(s.UseTLS())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	s.Start()
	s.connects(Options{TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	var log testproc.Output
	s.broker(Options{Logger: logger(&log)})
	s.eventually("an unknown certificate is refused", func() bool { return strings.Contains(log.String(), "certificate") })
	if text := log.String(); strings.Contains(text, "p/a") || strings.Contains(text, "p%2Fa") {
		t.Error(text)
	}
}

func TestUnixSocket(t *testing.T) {
	s := newServer(t)
	path := filepath.Join(t.TempDir(), "redis.sock")
	s.Password, s.Args = "secret", []string{"--unixsocket", path}
	s.Start()
	s.connects(Options{URL: "unix://default:secret@" + path})
}
