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
	asking sync.Mutex // held while the provider is requested for an unknown key
	asked  time.Time  // the end of the last such request
}

// keysTimeout limits the time for which a request with a token of an unknown key waits for
// keys. The provider is requested for an unknown key at most every keysPause, which is
// longer. So a client that sends such tokens can neither pile up requests nor delay a new key
// for long.
const (
	keysTimeout = 5 * time.Second
	keysPause   = 10 * time.Second
)

// The limits of a provider's key set: maxKeySet bytes and maxKeys keys, after at most
// maxKeyRedirects redirects. A provider that exceeds them counts as unreachable. keysInterval
// is the time between two regular reads.
const (
	maxKeySet       = 1 << 20
	maxKeys         = 100
	maxKeyRedirects = 3
	keysInterval    = time.Hour
)

// JWKS returns the keys that an identity provider publishes at address: at most 100, in at
// most 1 MiB. It reads them now, then every hour, and when a token names an unknown key, but
// then at most once in ten seconds. A provider that cannot be reached is not an error: the
// known keys remain valid, and slog's default logger reports it. The refresh stops when ctx
// ends.
func JWKS(ctx context.Context, address string) (KeySet, error) {
	published, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("bearer: the URL of the keys cannot be parsed") // err could quote a password in the URL
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
		RateLimitWaitMax:  keysTimeout,                  // also limits the request
		RefreshUnknownKID: rate.NewLimiter(rate.Inf, 0), // Key limits the rate
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
	transport.DisableKeepAlives = true // the next request follows an hour later
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

// limitedTransport limits the bodies of answers after decompression.
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

// Read implements io.Reader. It fails after the limit.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxKeySet)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// fewKeys refuses a set of more than maxKeys keys, because a token without a key id is
// verified with each of them.
type fewKeys struct{ jwkset.Storage }

// KeyReplaceAll implements jwkset.Storage.
func (s fewKeys) KeyReplaceAll(ctx context.Context, all []jwkset.JWK) error {
	if len(all) > maxKeys {
		return fmt.Errorf("%d keys are more than %d", len(all), maxKeys)
	}
	return s.Storage.KeyReplaceAll(ctx, all)
}

// Key waits while another call requests keys: concurrent tokens often use the same new key.
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
	all, _ := k.Storage().KeyReadAll(context.Background()) // reads from memory, so it needs no deadline
	return slices.ContainsFunc(all, func(key jwkset.JWK) bool { return key.Marshal().KID == id })
}

// Algorithms excludes the HMAC family, because a published key is not a secret.
func (k *jwks) Algorithms() []string {
	return append(append(append([]string{}, rsaAlgorithms...), ecdsaAlgorithms...), edAlgorithms...)
}
