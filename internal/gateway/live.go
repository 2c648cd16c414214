package gateway

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/negotiate"
)

// live is the state that a reload replaces. Requests read it concurrently.
type live struct {
	certificate atomic.Pointer[tls.Certificate]      // nil without TLS
	tokens      atomic.Pointer[bearer.Authenticator] // nil if clients need no token
	rules       atomic.Pointer[negotiate.Rules]
}

// prepared is a new state that is complete and without errors.
type prepared struct {
	certificate *tls.Certificate
	tokens      *bearer.Authenticator
	rules       negotiate.Rules
}

// prepare reads the files that c names and returns the state of its settings. published are the
// keys of --jwks-url, or nil.
func (c *Config) prepare(published *bearer.PublishedKeys) (*prepared, error) {
	p := &prepared{}
	var err error
	if p.rules, err = c.rules(); err != nil {
		return nil, err
	}
	if c.usesTLS() {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert, --tls-key: the certificate: %w", err)
		}
		p.certificate = &pair
	}
	p.tokens, err = c.bearer(published)
	return p, err
}

// apply replaces the state.
func (l *live) apply(p *prepared) {
	l.certificate.Store(p.certificate)
	l.tokens.Store(p.tokens)
	l.rules.Store(&p.rules)
}

// Offer implements negotiate.Policy with the rules by network.
func (l *live) Offer(r *http.Request, o *negotiate.Offer) { l.rules.Load().Offer(r, o) }

// authenticate implements auth.Func.
func (l *live) authenticate(r *http.Request) (*auth.User, error) {
	return l.tokens.Load().Authenticate(r)
}

func (l *live) getCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return l.certificate.Load(), nil
}
