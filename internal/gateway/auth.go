package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hubfile"
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
func (st *site) authenticate(o *endpoint.Options) (err error) {
	clients := &st.settings.Clients
	o.EnableAuthenticationRefresh = false
	if j := clients.JWT; j != nil {
		o.Authenticator, o.TokensOnly = auth.Func(st.identify), true
		o.EnableAuthenticationRefresh = j.Refresh
		o.MaximumAuthenticationExpiration = j.MaxLifetime
	}
	o.TicketLifetime = clients.Tickets
	if clients.Connect != nil {
		o.Authenticator = st.backend.Authenticator()
		o.TicketLifetime = cmp.Or(clients.Tickets, connectTickets)
	}
	o.PublicURL, err = parseURL(clients.PublicURL)
	return err
}

// identify implements auth.Func with the keys of the newest settings.
func (st *site) identify(r *http.Request) (*auth.User, error) {
	return st.tokens.Load().Authenticate(r)
}

// publishedKeys begins to read the keys that identity providers publish, until endKeys is called.
func (s *Server) publishedKeys() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.endKeys = cancel
	for _, st := range s.sites {
		if j := st.settings.Clients.JWT; j != nil && j.JWKSURL != "" {
			var err error
			if st.published, err = bearer.JWKS(ctx, j.JWKSURL); err != nil {
				return fmt.Errorf("%s: %w", s.config.key(&st.settings, "clients.jwt.jwks-url"), err)
			}
		}
	}
	return nil
}

// tokens returns the authenticator of a hub's tokens, or nil if its clients need none, or if the
// keys are published at a URL and published is nil.
func (c *Config) tokens(h *hubfile.Hub, published *bearer.PublishedKeys) (*bearer.Authenticator, error) {
	j := h.Clients.JWT
	if j == nil || j.KeyFile == "" && published == nil {
		return nil, nil
	}
	var keys bearer.KeySet = published
	if j.KeyFile != "" {
		var err error
		if keys, err = bearer.KeyFile(j.KeyFile); err != nil {
			return nil, fmt.Errorf("%s: %w", c.key(h, "clients.jwt.key-file"), err)
		}
	}
	return bearer.New(bearer.Options{Keys: keys, Issuer: j.Issuer, Audience: j.Audience, UserIDClaim: j.UserClaim})
}

// keys returns the access keys and the API keys of a hub: its own, or those of the program.
func (c *Config) keys(h *hubfile.Hub) (*accesskey.Keys, error) {
	accessFile, apiFile := h.AccessKeyFile, h.APIKeyFile
	accessKey, apiKey := hubKey(h.Name, "access-key-file"), hubKey(h.Name, "api-key-file")
	if accessFile == "" && apiFile == "" {
		accessFile, apiFile = c.AccessKeyFile, c.APIKeyFile
		accessKey, apiKey = "--access-key-file", "--api-key-file"
	}
	o := accesskey.Options{Audiences: c.Audiences, Loopback: isLoopbackHost(c.Addr) && (c.APIAddr == "" || isLoopbackHost(c.APIAddr))}
	read := func(setting, path string) (keys []string, err error) {
		if path != "" {
			if keys, err = accesskey.ReadFile(path); err == nil && len(keys) == 0 {
				err = fmt.Errorf("%s has no key", path)
			}
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", setting, err)
		}
		return keys, err
	}
	access, err := read(accessKey, accessFile)
	api, err2 := read(apiKey, apiFile)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if _, err := accesskey.Parse(nil, api, o); err != nil {
		return nil, fmt.Errorf("%s: %w", apiKey, err)
	}
	keys, err := accesskey.Parse(access, api, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", accessKey, err)
	}
	return keys, nil
}
