package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// secretLength is the smallest length of a secret, and the length of the secrets that
// NewSecret makes. Each token lets its client test guesses of the secret, so that a weak one
// would be found.
const secretLength = 32

// Labels separate the keys that are derived from one secret.
const (
	tokenLabel = "carillon cluster token 1 "
	linkLabel  = "carillon cluster link 1"
)

// NewSecret returns a new secret of 32 random bytes as text, for ParseSecrets.
func NewSecret() string {
	b := make([]byte, secretLength)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}

// ParseSecrets returns the secrets in a text: one or two in base64, separated by white space.
// The first one is the current one. Tokens and nodes with the second one are accepted, too, so
// that a secret can be replaced while the cluster runs. The error does not contain the text.
func ParseSecrets(text string) ([][]byte, error) {
	var secrets [][]byte
	for i, field := range strings.Fields(text) {
		secret, err := base64.StdEncoding.DecodeString(field)
		if err != nil {
			return nil, fmt.Errorf("cluster: secret %d is not base64", i+1)
		}
		secrets = append(secrets, secret)
	}
	return secrets, checkSecrets(secrets)
}

func checkSecrets(secrets [][]byte) error {
	switch len(secrets) {
	case 0:
		return errors.New("cluster: there is no secret")
	case 1, 2:
	default:
		return fmt.Errorf("cluster: there are %d secrets; only the current and the previous one are accepted", len(secrets))
	}
	for i, secret := range secrets {
		if len(secret) < secretLength {
			return fmt.Errorf("cluster: secret %d has %d bytes; it must have %d random bytes at least", i+1, len(secret), secretLength)
		}
	}
	return nil
}

// keys derives the keys of one secret.
type keys struct{ root []byte }

func newKeys(secret []byte) (keys, error) {
	root, err := hkdf.Extract(sha256.New, secret, nil)
	return keys{root}, err
}

// derive returns 32 bytes that depend on the secret and on info.
func (k keys) derive(info string) []byte {
	key, err := hkdf.Expand(sha256.New, k.root, info, 32)
	if err != nil { // only for a length that is too large
		panic(err)
	}
	return key
}

// token returns the cipher of the tokens that a process seals.
func (k keys) token(p pid) cipher.AEAD {
	block, err := aes.NewCipher(k.derive(tokenLabel + string(p[:])))
	if err != nil { // only for a wrong length of the key
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil { // only for a wrong size of the block
		panic(err)
	}
	return aead
}

// link returns the key with which a process proves on the link that it knows the secret.
func (k keys) link() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.derive(linkLabel)) }
