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

// authenticated adds the settings of authentication to o.
func (c *Config) authenticated(o endpoint.Options) (endpoint.Options, error) {
	public, err := parseURL(c.PublicURL)
	o.CloseOnAuthenticationExpiration = true
	o.EnableAuthenticationRefresh = c.JWTRefresh && c.usesJWT()
	o.MaximumAuthenticationExpiration = c.JWTMaxLifetime
	o.TicketLifetime, o.PublicURL = c.Tickets, public
	return o, err
}

// guard sets entry to the hub, behind authentication if the settings name a key. Without a
// key all clients may connect.
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
	s.entry = auth.Middleware(s.hub.Authenticator(bearer), auth.Require(nil, s.hub))
	return nil
}

// bearer returns the authenticator of tokens. It keeps published keys fresh until ctx is
// cancelled.
func (c *Config) bearer(ctx context.Context) (*bearer.Authenticator, error) {
	keys, err := c.keys(ctx)
	if err != nil {
		return nil, err
	}
	return bearer.New(bearer.Options{
		Keys:        keys,
		Issuer:      c.JWTIssuer,
		Audience:    c.JWTAudience,
		UserIDClaim: c.JWTUserClaim,
	})
}

func (c *Config) keys(ctx context.Context) (bearer.KeySet, error) {
	if c.JWTKey != "" {
		return bearer.KeyFile(c.JWTKey)
	}
	return bearer.JWKS(ctx, c.JWKSURL)
}
