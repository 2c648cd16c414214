//go:build unix

package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// certificate writes a certificate for the loopback address and its key.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	write := func(name, kind string, data []byte) string {
		path, block := filepath.Join(t.TempDir(), name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
		pool.AppendCertsFromPEM(block)
		if err := os.WriteFile(path, block, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret), pool
}

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
	if n := publish(s.t, one, "x", "a"); n != 2 {
		s.t.Errorf("%d receivers", n)
	}
	s.eventually("both receive", func() bool { return in.text() == "a=x a=x" })
}

func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	s := newServer(t)
	s.Password = "p/a:s#s"
	secure := testproc.FreeAddress()
	_, port, _ := net.SplitHostPort(secure)
	s.Args = []string{"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"}
	s.Start()
	url := "rediss" + strings.TrimPrefix(strings.Replace(s.URL(), s.Addr, secure, 1), "redis")
	s.connects(Options{URL: url, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	var log testproc.Output
	s.broker(Options{URL: url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
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
