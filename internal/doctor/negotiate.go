package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// negotiated holds the fields of the server's answer that the doctor needs.
type negotiated struct {
	Error           string `json:"error"`
	URL             string `json:"url"`
	AccessToken     string `json:"accessToken"`
	ConnectionID    string `json:"connectionId"`
	ConnectionToken string `json:"connectionToken"`
	Available       []struct {
		Transport string `json:"transport"`
	} `json:"availableTransports"`

	hub   *url.URL // the hub's address after redirects
	token string   // the bearer token for that address
}

// negotiate negotiates and enters the answer in the report.
func (x *examiner) negotiate(ctx context.Context) *negotiated {
	x.report.Negotiate.Offered = []string{}
	began := time.Now()
	n, err := x.ask(ctx)
	if err != nil {
		x.report.Negotiate.Error, x.report.Negotiate.code = err.Error(), codeOf(err)
		x.noteUntrusted(err)
		return nil
	}
	x.report.Negotiate.Millis = millis(time.Since(began))
	for _, a := range n.Available {
		x.report.Negotiate.Offered = append(x.report.Negotiate.Offered, a.Transport)
	}
	return n
}

// redirects is how many redirects are followed.
const redirects = 10

// ask negotiates. Each transport needs a connection, and so a negotiation, of its own.
func (x *examiner) ask(ctx context.Context) (*negotiated, error) {
	hub, token := x.url, x.options.Token
	for range redirects {
		n, err := x.askAt(ctx, hub, token)
		if err != nil || n.URL == "" {
			return n, err
		}
		if hub, err = hub.Parse(n.URL); err != nil {
			return nil, errors.New("negotiate: sent on to no URL")
		}
		if n.AccessToken != "" {
			token = n.AccessToken
		}
	}
	return nil, errors.New("negotiate: sent on again and again")
}

func (x *examiner) askAt(ctx context.Context, hub *url.URL, token string) (*negotiated, error) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	at := *hub
	at.Path = strings.TrimSuffix(at.Path, "/") + "/negotiate"
	at.RawQuery = withQuery(at.RawQuery, "negotiateVersion=1")
	r, err := x.request(ctx, http.MethodPost, &at, token, []byte{})
	if err != nil {
		return nil, err
	}
	response, err := x.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("negotiate: %w", unanswered(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return nil, fmt.Errorf("negotiate: %w", err)
	}
	x.noteAnswer(response, body)
	first := &x.report.Negotiate
	first.Status, first.HTTP = response.StatusCode, response.Proto
	if reason := response.Header.Get("Carillon-Transport-Reason"); reason != "" && first.Reason == "" {
		first.Reason = reason
	}
	n := &negotiated{hub: hub, token: token}
	if response.StatusCode != http.StatusOK || json.Unmarshal(body, n) != nil {
		return nil, fmt.Errorf("negotiate: %w", refusedWith(response, body))
	}
	if n.Error != "" {
		return nil, errors.New("negotiate: " + n.Error)
	}
	if n.ConnectionToken == "" {
		n.ConnectionToken = n.ConnectionID // a server before version 1
	}
	if n.ConnectionToken == "" && n.URL == "" {
		return nil, fmt.Errorf("negotiate: %w", refusedWith(response, body))
	}
	return n, nil
}

// longestAnswer bounds the bytes of an answer that are read.
const longestAnswer = 64 << 10

func beginning(body []byte) string {
	const enough = 60
	text := strings.Join(strings.Fields(string(body)), " ")
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return text
}

// request makes a request as the official clients make it.
func (x *examiner) request(ctx context.Context, method string, at *url.URL, token string, body []byte) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, at.String(), reader)
	if err != nil {
		return nil, err
	}
	x.addHeader(r.Header, token)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
		// Some proxies close connections that they announced to keep. This key is not sent:
		// it allows net/http to retry a request that got no answer.
		r.Header["Idempotency-Key"] = []string{}
	}
	return r, nil
}

func (x *examiner) addHeader(h http.Header, token string) {
	h.Set("User-Agent", "carillon-doctor")
	h.Set("X-Requested-With", "XMLHttpRequest")
	for name, values := range x.options.Header {
		h[name] = values
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
}

// noteAnswer records the boxes and the certificate that an answer shows.
func (x *examiner) noteAnswer(r *http.Response, body []byte) {
	x.noteBox(identify(r.Header)...)
	if r.StatusCode >= http.StatusBadRequest {
		x.noteBox(identifyPage(string(body))...)
	}
	x.noteTLS(r.TLS)
}

func (x *examiner) noteTLS(state *tls.ConnectionState) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if state == nil || x.report.TLS != nil || len(state.PeerCertificates) == 0 {
		return
	}
	x.report.TLS = tlsOf(state.PeerCertificates[0], len(state.VerifiedChains) > 0)
	x.report.TLS.Version = tls.VersionName(state.Version)
}

func tlsOf(c *x509.Certificate, trusted bool) *TLS {
	return &TLS{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Trusted: trusted}
}

// noteUntrusted records a certificate that this machine does not trust.
func (x *examiner) noteUntrusted(err error) {
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) && len(untrusted.UnverifiedCertificates) > 0 {
		x.report.TLS = tlsOf(untrusted.UnverifiedCertificates[0], false)
	}
}

// withoutURL removes the URL from an error, because it may contain a secret.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

func withQuery(raw, more string) string {
	if raw == "" {
		return more
	}
	return raw + "&" + more
}
