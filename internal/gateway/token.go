package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/auth/bearer"
)

// MintToken returns a token with the claims, signed with the secret of --jwt-key (HS256).
func (c *Config) MintToken(claims map[string]any) (string, error) {
	keys, err := bearer.KeyFile(c.JWTKey)
	if err != nil {
		return "", fmt.Errorf("--jwt-key: %w", err)
	}
	key, err := keys.Key(nil) // a key file has one key
	secret, ok := key.([]byte)
	if err != nil || !ok {
		return "", errors.New("--jwt-key: the file holds a public key, which verifies tokens; only a shared secret can make them")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := encodeSegment([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encodeSegment(payload)
	signature := hmac.New(sha256.New, secret)
	signature.Write([]byte(text))
	return text + "." + encodeSegment(signature.Sum(nil)), nil
}

func encodeSegment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// VerifyToken returns nil if the hub accepts a token. Its error quotes nothing of the token.
func (c *Config) VerifyToken(ctx context.Context, token string) error {
	if err := c.validateAuth(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var published *bearer.PublishedKeys
	if c.JWKSURL != "" {
		var err error
		if published, err = bearer.JWKS(ctx, c.JWKSURL); err != nil {
			return err
		}
	}
	hub := c.clock()
	tokens, err := c.tokens(&hub, published)
	if err != nil {
		return err
	}
	_, err = tokens.Authenticate(&http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		return errors.New("the token is refused: " + strings.TrimPrefix(err.Error(), "auth: "))
	}
	return nil
}
