package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/carillon-go/carillon/auth"
)

func (c *Config) usesJWT() bool { return c.JWTKey != "" || c.JWKSURL != "" }

// validateAuth refuses settings that would leave the hub open, or closed, against
// what whoever wrote them meant.
func (c *Config) validateAuth() error {
	switch {
	case c.JWTKey != "" && c.JWKSURL != "":
		return errors.New("--jwt-key and --jwks-url exclude each other")
	case !c.usesJWT() && (c.JWTIssuer != "" || c.JWTAudience != ""):
		return errors.New("--jwt-issuer and --jwt-audience need --jwt-key or --jwks-url")
	case c.JWKSURL == "":
		return nil
	}
	if u, err := url.Parse(c.JWKSURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("--jwks-url: %q is no URL; write it as https://example.com/keys", c.JWKSURL)
	}
	return nil
}

// guard puts the door in front of the hub: whoever has a token that the settings
// accept may enter, or everybody where they name no key.
func (s *Server) guard() error {
	s.entry, s.endKeys = s.hub, func() {}
	if !s.config.usesJWT() {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	bearer, err := s.config.bearer(ctx)
	if err != nil {
		cancel()
		return err
	}
	s.endKeys = cancel
	s.entry = auth.Middleware(bearer, auth.Require(nil, s.hub))
	return nil
}

// bearer keeps published keys fresh until ctx is cancelled.
func (c *Config) bearer(ctx context.Context) (*auth.Bearer, error) {
	keys, err := c.keys(ctx)
	if err != nil {
		return nil, err
	}
	return auth.NewBearer(auth.BearerOptions{
		Keys:        keys,
		Issuer:      c.JWTIssuer,
		Audience:    c.JWTAudience,
		UserIDClaim: c.JWTUserClaim,
	})
}

func (c *Config) keys(ctx context.Context) (auth.KeySet, error) {
	if c.JWTKey != "" {
		return auth.KeyFile(c.JWTKey)
	}
	return auth.JWKS(ctx, c.JWKSURL)
}
