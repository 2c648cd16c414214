package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

type jwks struct {
	keyfunc.Keyfunc
	asking sync.Mutex // held while the provider is asked for a key that is not known
	asked  time.Time  // when it was last
}

// keysTimeout bounds how long a request with a token of an unknown key waits for keys, and
// the provider is asked for one at most every keysPause, which is longer: whoever sends such
// tokens must not be able to heap up requests, nor to keep a new key out for long.
const (
	keysTimeout = 5 * time.Second
	keysPause   = 10 * time.Second
)

// What a provider publishes has at most maxKeySet bytes and maxKeys keys, behind at most
// maxKeyRedirects redirects. Beyond that it counts as one that cannot be reached.
const (
	maxKeySet       = 1 << 20
	maxKeys         = 100
	maxKeyRedirects = 3
	keysInterval    = time.Hour
)

// JWKS verifies with the keys that an identity provider publishes at address: at most 100, in
// at most 1 MiB. They are read now, again each hour, and when a token names a key that is not
// known yet, at most once in ten seconds. A provider that cannot be reached is logged, to
// slog's default logger, and is no error: the keys that are known stay. The refresh ends with
// ctx.
func JWKS(ctx context.Context, address string) (KeySet, error) {
	published, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("bearer: the URL of the keys cannot be parsed") // it may hold a password
	}
	source, err := jwkset.NewStorageFromHTTP(address, jwkset.HTTPClientStorageOptions{
		Client:                    keysClient(),
		Ctx:                       ctx,
		HTTPTimeout:               keysTimeout,
		NoErrorReturnFirstHTTPReq: true,
		RefreshInterval:           keysInterval,
		Storage:                   fewKeys{jwkset.NewMemoryStorage()},
		RefreshErrorHandler: func(ctx context.Context, err error) {
			slog.ErrorContext(ctx, "the keys of tokens cannot be read", "url", published.Redacted(), "error", err)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("bearer: keys from %s: %w", published.Redacted(), err)
	}
	storage, err := jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
		HTTPURLs:          map[string]jwkset.Storage{address: source},
		RateLimitWaitMax:  keysTimeout,                  // of the request, too
		RefreshUnknownKID: rate.NewLimiter(rate.Inf, 0), // Key limits it
	})
	if err != nil {
		return nil, fmt.Errorf("bearer: keys from %s: %w", published.Redacted(), err)
	}
	keys, err := keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: storage})
	if err != nil {
		return nil, fmt.Errorf("bearer: keys from %s: %w", published.Redacted(), err)
	}
	return &jwks{Keyfunc: keys}, nil
}

// keysClient returns a client that reads an answer of at most maxKeySet bytes within
// keysTimeout.
func keysClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	transport.DisableKeepAlives = true // the next request comes in an hour
	return &http.Client{
		Transport: limitedTransport{transport},
		Timeout:   keysTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxKeyRedirects:
				return errors.New("too many redirects")
			case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
				return errors.New("a redirect away from https")
			}
			return nil
		},
	}
}

// limitedTransport cuts the bodies of answers, as they are when they are decompressed.
type limitedTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil {
		response.Body = &limitedBody{ReadCloser: response.Body, left: maxKeySet}
	}
	return response, err
}

type limitedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader. It fails beyond the limit.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxKeySet)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// fewKeys refuses a set of too many keys: a token that names none is tried with each.
type fewKeys struct{ jwkset.Storage }

// KeyReplaceAll implements jwkset.Storage.
func (s fewKeys) KeyReplaceAll(ctx context.Context, all []jwkset.JWK) error {
	if len(all) > maxKeys {
		return fmt.Errorf("%d keys are more than %d", len(all), maxKeys)
	}
	return s.Storage.KeyReplaceAll(ctx, all)
}

// Key waits for keys that are on their way: others come with the same new one.
func (k *jwks) Key(t *jwt.Token) (any, error) {
	if id, ok := t.Header["kid"].(string); ok && !k.knows(id) {
		k.asking.Lock()
		defer k.asking.Unlock()
		if !k.knows(id) {
			if time.Since(k.asked) < keysPause {
				return nil, jwkset.ErrKeyNotFound
			}
			defer func() { k.asked = time.Now() }()
		}
	}
	return k.Keyfunc.Keyfunc(t)
}

func (k *jwks) knows(id string) bool {
	all, _ := k.Storage().KeyReadAll(context.Background()) // from memory
	return slices.ContainsFunc(all, func(key jwkset.JWK) bool { return key.Marshal().KID == id })
}

// Algorithms leaves out the HMAC family: a published key is no secret.
func (k *jwks) Algorithms() []string {
	return append(append(append([]string{}, rsaAlgorithms...), ecdsaAlgorithms...), edAlgorithms...)
}
