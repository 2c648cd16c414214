package bearer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// KeySet finds the key that verifies a token. Safe for concurrent use.
type KeySet interface {
	// Key returns the key for t, whose header is parsed and not yet trusted.
	Key(t *jwt.Token) (any, error)
	// Algorithms returns the algorithms that the keys of this set may be used with.
	Algorithms() []string
}

// minSecret is the shortest allowed shared secret in bytes: as long as the output of HS256
// (RFC 7518, 3.2).
const minSecret = 32

var (
	hmacAlgorithms  = []string{"HS256", "HS384", "HS512"}
	rsaAlgorithms   = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	ecdsaAlgorithms = []string{"ES256", "ES384", "ES512"}
	edAlgorithms    = []string{"EdDSA"}
)

type staticKey struct {
	key        any
	algorithms []string
}

func (k staticKey) Key(*jwt.Token) (any, error) { return k.key, nil }
func (k staticKey) Algorithms() []string        { return k.algorithms }

// Secret returns a key set that verifies HS256, HS384 and HS512 with a shared secret of at
// least 32 bytes.
func Secret(secret []byte) (KeySet, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("bearer: the secret has %d bytes; use at least %d random ones", len(secret), minSecret)
	}
	return staticKey{key: secret, algorithms: hmacAlgorithms}, nil
}

// PublicKey returns a key set that verifies with an RSA, ECDSA or Ed25519 public key.
func PublicKey(key any) (KeySet, error) {
	switch key.(type) {
	case *rsa.PublicKey:
		return staticKey{key: key, algorithms: rsaAlgorithms}, nil
	case *ecdsa.PublicKey:
		return staticKey{key: key, algorithms: ecdsaAlgorithms}, nil
	case ed25519.PublicKey:
		return staticKey{key: key, algorithms: edAlgorithms}, nil
	}
	return nil, fmt.Errorf("bearer: a key of type %T verifies nothing; RSA, ECDSA and Ed25519 public keys do", key)
}

// KeyFile reads a key from a file: a public key or certificate in PEM. A file without PEM is
// a shared secret, without the white space around it.
func KeyFile(path string) (KeySet, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("bearer: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return Secret([]byte(strings.TrimSpace(string(data))))
	}
	key, err := parsePEM(block)
	if err != nil {
		return nil, fmt.Errorf("bearer: %s: %w", path, err)
	}
	return PublicKey(key)
}

func parsePEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	}
	if strings.Contains(block.Type, "PRIVATE KEY") {
		return nil, errors.New("this is a private key; tokens are verified with the public one")
	}
	return nil, fmt.Errorf("a PEM block of type %q holds no public key", block.Type)
}
