package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/carillon-go/carillon/internal/remedies"
)

// failure is the reason of a failed negotiation, with the code of its finding.
type failure struct{ code, text string }

func (f *failure) Error() string { return f.text }

func codeOf(err error) string {
	var (
		known     *failure
		untrusted *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &known):
		return known.code
	case errors.As(err, &unknown):
		return codeUntrusted
	case errors.As(err, &untrusted):
		return codeCertificate
	}
	return codeUnreachable
}

// unanswered is the error of a request that got no answer.
func unanswered(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{codeUnreachable, fmt.Sprintf("no answer within %v", answerPatience)}
	}
	return withoutURL(err)
}

// refusedWith interprets an answer that does not come from a hub.
func refusedWith(r *http.Response, body []byte) *failure {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.StatusCode == http.StatusOK {
		if media == "text/html" {
			return &failure{codePage, "a page was the answer: " + beginning(body)}
		}
		return &failure{codeNoHub, "the answer is not a hub's: " + beginning(body)}
	}
	f := &failure{remedies.Statuses[r.StatusCode], fmt.Sprintf("status %d", r.StatusCode)}
	switch {
	case r.StatusCode == http.StatusUnauthorized && r.Request.Header.Get("Authorization") != "":
		f.code = codeToken
	case f.code == "":
		f.code = codeUnreachable
	}
	switch challenge := r.Header.Get("WWW-Authenticate"); {
	case challenge != "":
		f.text += ", " + challenge
	case media != "text/html" && len(body) > 0:
		f.text += ": " + beginning(body)
	}
	return f
}

// tunnelAnswered handles a forward proxy's answer to CONNECT.
func (x *examiner) tunnelAnswered(_ context.Context, _ *url.URL, _ *http.Request, r *http.Response) error {
	if r.StatusCode == http.StatusOK {
		return nil
	}
	x.noteBox(identify(r.Header)...)
	f := &failure{codeConnect, fmt.Sprintf("the forward proxy opens no tunnel (CONNECT): status %d", r.StatusCode)}
	if r.StatusCode == http.StatusProxyAuthRequired {
		f.code = remedies.Statuses[r.StatusCode]
	}
	return f
}

func (r *Report) judgeNegotiation() {
	n := &r.Negotiate
	switch {
	case n.Error == "":
	case n.code == codeUntrusted && r.TLS != nil && r.TLS.Subject == r.TLS.Issuer:
		r.find(n.code, "", "the certificate for %s is not trusted; nobody but itself has signed it", r.TLS.Subject)
	case n.code == codeUntrusted && r.TLS != nil:
		r.find(n.code, "", "the certificate for %s is not trusted; it was issued by %s: a proxy that inspects TLS puts its own in place of the server's", r.TLS.Subject, r.TLS.Issuer)
	default:
		r.find(n.code, "", "%s", n.Error)
	}
}
