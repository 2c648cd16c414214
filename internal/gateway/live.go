package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/negotiate"
)

// live is the state of the program that a reload replaces; each site has its own. Requests read it
// concurrently.
type live struct {
	certificate atomic.Pointer[tls.Certificate] // nil without TLS
	rules       atomic.Pointer[negotiate.Rules]
}

// prepared is a new state that is complete and without errors.
type prepared struct {
	certificate *tls.Certificate
	rules       negotiate.Rules
	sites       []preparedSite  // in the order of the hubs
	keys        *accesskey.Keys // of hubs that the file does not name; nil: there are none
}

// preparedSite is the new state of a site.
type preparedSite struct {
	settings hubfile.Hub
	tokens   *bearer.Authenticator
	keys     *accesskey.Keys
}

// prepare reads the files that c names and returns the state of its settings. sites are those of
// the hubs of c, with the keys that are published at a URL; without sites these are left out.
func (c *Config) prepare(sites []*site) (*prepared, error) {
	p := &prepared{}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	var err error
	p.rules, err = c.rules()
	note(err)
	if c.usesTLS() {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			note(fmt.Errorf("--tls-cert, --tls-key: the certificate: %w", err))
		}
		p.certificate = &pair
	}
	if c.AccessKeyFile != "" {
		p.keys, err = c.keys(&hubfile.Hub{})
		note(err)
	}
	for i, h := range c.hubs() {
		one := preparedSite{settings: h, keys: &accesskey.Keys{}}
		var published *bearer.PublishedKeys
		if sites != nil {
			published = sites[i].published
		}
		one.tokens, err = c.tokens(&h, published)
		note(err)
		if !c.servesClock() {
			one.keys, err = c.keys(&h)
			note(err)
		}
		note(validateUpstream(&h))
		p.sites = append(p.sites, one)
	}
	return p, errors.Join(errs...)
}

// Offer implements negotiate.Policy with the rules by network.
func (l *live) Offer(r *http.Request, o *negotiate.Offer) { l.rules.Load().Offer(r, o) }

func (l *live) getCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return l.certificate.Load(), nil
}

// apply replaces the state of a site.
func (st *site) apply(p preparedSite) {
	st.tokens.Store(p.tokens)
	st.hosted.SetKeys(p.keys)
	if st.endpoint != nil {
		st.endpoint.SetAllowedOrigins(p.settings.Origins)
	}
	if st.redirects != nil {
		st.redirects.SetAllowedOrigins(p.settings.Origins)
	}
	if st.backend != nil {
		_ = st.backend.Set(upstreamSettings(&p.settings)) // prepare has validated them
	}
}
