package testproc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// UseTLS has the server listen for TLS only, when it starts. It returns a file with the certificate of
// the authority, which is that of the server, too.
func (r *Redis) UseTLS() (root string) {
	r.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		r.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		r.t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(r.dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			r.t.Fatal(err)
		}
		return path
	}
	root, key := write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
	_, port, _ := net.SplitHostPort(r.Addr)
	r.scheme, r.Args = "rediss", []string{
		"--port", "0", "--tls-port", port, "--tls-cert-file", root, "--tls-key-file", key, "--tls-ca-cert-file", root, "--tls-auth-clients", "no",
	}
	return root
}
