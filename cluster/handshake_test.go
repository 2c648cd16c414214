package cluster

import (
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// countingListener counts the bytes that its connections read.
type countingListener struct {
	net.Listener
	read *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{Conn: c, read: l.read}, err
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// endless passes on what a client of TLS writes, without the last byte of its last message.
type endless struct {
	net.Conn
	writes int
}

func (e *endless) Write(b []byte) (int, error) {
	if e.writes++; e.writes == 1 { // the hello
		return e.Conn.Write(b)
	}
	_, _ = e.Conn.Write(b[:len(b)-1])
	_, _ = io.Copy(io.Discard, e.Conn) // until the node closes
	return 0, io.ErrClosedPipe
}

// impostor has copied a public key. Its signatures are long and not valid.
type impostor struct{ copied ed25519.PublicKey }

func (i impostor) Public() crypto.PublicKey { return i.copied }

func (impostor) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 60_000), nil
}

// certificate returns a certificate that contains padding, with a key that is not in it.
func certificate(t *testing.T, public ed25519.PublicKey, padding int) tls.Certificate {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{SerialNumber: big.NewInt(1)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), ExtraExtensions: []pkix.Extension{
		{Id: []int{1, 2, 3, 4}, Value: make([]byte, padding)},
	}}
	der, err := x509.CreateCertificate(nil, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: impostor{public}}
}

// longHello returns a hello of 64 KiB without its last byte, in records of 16 KiB.
func longHello() []byte {
	const length = 1<<16 - 4
	message := append([]byte{1, 0, length >> 8, length & 0xff, 3, 3}, make([]byte, length-3)...)
	var records []byte
	for part := range slices.Chunk(message, 1<<14) {
		records = append(append(records, 0x16, 3, 1, byte(len(part)>>8), byte(len(part))), part...)
	}
	return records
}

// Somebody without the secret cannot make a node keep long messages of TLS, even with a copy of
// the public key.
func TestHandshakesOfStrangersAreShort(t *testing.T) {
	t.Parallel()
	secret := randomSecret()
	public := newTestCredentials(t, secret).accepted[0]
	present := func(padding int) func(*testing.T, net.Conn) {
		return func(t *testing.T, c net.Conn) {
			config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate(t, public, padding)}}
			_ = tls.Client(&endless{Conn: c}, config).HandshakeContext(t.Context())
		}
	}
	for name, attack := range map[string]func(*testing.T, net.Conn){
		"hello": func(_ *testing.T, c net.Conn) {
			_, _ = c.Write(longHello())
			_, _ = io.Copy(io.Discard, c)
		},
		"certificate": present(200 << 10),
		"signature":   present(0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var read atomic.Int64
			l := listen(t, "127.0.0.1:0")
			s := newSite(t, "A", countingListener{l, &read}, Options{Secrets: [][]byte{secret}})
			c, err := net.DialTimeout("tcp", s.node.self.address, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			attack(t, c)
			if n := read.Load(); n < maxHandshake/2 || n > maxHandshake {
				t.Errorf("the node has read %d bytes of the handshake", n)
			}
		})
	}
}
