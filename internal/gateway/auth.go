package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/endpoint"
)

func (c *Config) usesJWT() bool { return c.JWTKey != "" || c.JWKSURL != "" }

// validateAuth refuses contradictory or incomplete settings that would open or close the hub
// unintentionally.
func (c *Config) validateAuth() error {
	switch {
	case c.JWTKey != "" && c.JWKSURL != "":
		return errors.New("--jwt-key and --jwks-url exclude each other")
	case !c.usesJWT() && (c.JWTIssuer != "" || c.JWTAudience != ""):
		return errors.New("--jwt-issuer and --jwt-audience need --jwt-key or --jwks-url")
	case !c.usesJWT() && (c.JWTMaxLifetime > 0 || c.Tickets > 0):
		return errors.New("--tickets and --jwt-max-lifetime need --jwt-key or --jwks-url")
	case c.Tickets < 0:
		return errors.New("--tickets: the time must not be negative")
	case c.JWTMaxLifetime < 0:
		return errors.New("--jwt-max-lifetime: the time must not be negative")
	}
	if _, err := parseURL(c.JWKSURL); err != nil {
		return fmt.Errorf("--jwks-url: %w", err)
	}
	if _, err := parseURL(c.PublicURL); err != nil {
		return fmt.Errorf("--public-url: %w", err)
	}
	return nil
}

// parseURL parses an http or https URL. It returns nil for an empty text.
func parseURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is no URL; write it as https://example.com/path", text)
	}
	return u, nil
}

// authenticate adds the settings of authentication to o. Without a key all clients may connect.
func (s *Server) authenticate(o *endpoint.Options) (err error) {
	c := &s.config
	o.EnableAuthenticationRefresh = c.JWTRefresh && c.usesJWT()
	o.MaximumAuthenticationExpiration = c.JWTMaxLifetime
	if c.usesJWT() {
		o.Authenticator = auth.Func(s.live.authenticate)
	}
	o.TicketLifetime = c.Tickets
	o.PublicURL, err = parseURL(c.PublicURL)
	return err
}

// publishedKeys begins to read the keys of --jwks-url, if it is set, until endKeys is called.
func (s *Server) publishedKeys() (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.endKeys = cancel
	if s.config.JWKSURL != "" {
		s.keys, err = bearer.JWKS(ctx, s.config.JWKSURL)
	}
	return err
}

// bearer returns the authenticator of tokens, or nil if clients need none. published are the keys
// of --jwks-url.
func (c *Config) bearer(published *bearer.PublishedKeys) (*bearer.Authenticator, error) {
	var keys bearer.KeySet = published
	switch {
	case !c.usesJWT():
		return nil, nil
	case c.JWTKey != "":
		var err error
		if keys, err = bearer.KeyFile(c.JWTKey); err != nil {
			return nil, fmt.Errorf("--jwt-key: %w", err)
		}
	}
	return bearer.New(bearer.Options{
		Keys:        keys,
		Issuer:      c.JWTIssuer,
		Audience:    c.JWTAudience,
		UserIDClaim: c.JWTUserClaim,
	})
}
