package cluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
)

// credentials are the keys with which nodes prove to each other that they know the secret. Each
// end of the link presents a certificate with the key of its current secret and accepts the
// keys of all its secrets.
type credentials struct {
	own      tls.Certificate
	accepted []ed25519.PublicKey
}

func newCredentials(secrets []keys) (*credentials, error) {
	key := secrets[0].link()
	// Only the key counts, so the certificate has no name and no dates.
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c := &credentials{own: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
	for _, secret := range secrets {
		c.accepted = append(c.accepted, secret.link().Public().(ed25519.PublicKey))
	}
	return c, nil
}

// config returns the configuration of both ends. TLS proves that the other end has the private
// key of its certificate.
func (c *credentials) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{c.own},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // verify compares the key instead
		VerifyConnection:       c.verify,
		SessionTicketsDisabled: true,
	}
}

var errForeign = errors.New("cluster: the other end of the link does not know the secret")

func (c *credentials) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errForeign
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	for _, accepted := range c.accepted {
		if ok && accepted.Equal(key) {
			return nil
		}
	}
	return errForeign
}
