package bearer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// PublishedKeys is the KeySet of an identity provider. JWKS returns it.
type PublishedKeys struct {
	keys    keyfunc.Keyfunc
	ctx     context.Context // ends every read
	url     *url.URL
	client  *http.Client
	storage jwkset.Storage
	first   chan struct{} // closed after the first read

	reading sync.Mutex // held while the provider is requested
	asked   time.Time  // the end of the last request for an unknown key
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
// is the time between two regular reads, keysRetry the time after a failed one. keysStart is
// the time for which JWKS waits.
const (
	maxKeySet       = 1 << 20
	maxKeys         = 100
	maxKeyRedirects = 3
	keysInterval    = time.Hour
	keysRetry       = time.Minute
	keysStart       = 500 * time.Millisecond
)

// JWKS returns the keys that an identity provider publishes at address: at most 100, in at
// most 1 MiB. It reads them every hour, a minute after a read that failed, and when a token
// names an unknown key, but then at most once in ten seconds. JWKS waits half a second for the
// first read; tokens that arrive earlier wait for it. A provider that cannot be reached is not
// an error: the known keys remain valid, and slog's default logger reports it. All reading
// stops when ctx ends.
func JWKS(ctx context.Context, address string) (*PublishedKeys, error) {
	published, err := url.ParseRequestURI(address)
	if err != nil {
		return nil, errors.New("bearer: the URL of the keys cannot be parsed") // err could quote a password in the URL
	}
	k := &PublishedKeys{ctx: ctx, url: published, client: keysClient(), storage: jwkset.NewMemoryStorage(), first: make(chan struct{})}
	if k.keys, err = keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: k.storage}); err != nil {
		return nil, fmt.Errorf("bearer: keys from %s: %w", published.Redacted(), err)
	}
	go k.readForever() // ends with ctx
	start := time.NewTimer(keysStart)
	defer start.Stop()
	select {
	case <-k.first:
	case <-start.C:
	case <-ctx.Done():
	}
	return k, nil
}

// readForever reads the keys regularly until ctx ends.
func (k *PublishedKeys) readForever() {
	for {
		pause := keysInterval
		if k.Refresh(k.ctx) != nil {
			pause = keysRetry
		}
		select {
		case <-k.first:
		default:
			close(k.first)
		}
		next := time.NewTimer(pause)
		select {
		case <-next.C:
		case <-k.ctx.Done():
			next.Stop()
			return
		}
	}
}

// Refresh reads the keys now, within five seconds. If it fails, the known keys remain valid,
// and slog's default logger has the error, too.
func (k *PublishedKeys) Refresh(ctx context.Context) error {
	k.reading.Lock()
	defer k.reading.Unlock()
	return k.readLocked(ctx)
}

func (k *PublishedKeys) readLocked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	defer context.AfterFunc(k.ctx, cancel)()
	keys, err := k.request(ctx)
	if err == nil {
		err = k.storage.KeyReplaceAll(ctx, keys)
	}
	if err != nil && k.ctx.Err() == nil {
		slog.ErrorContext(ctx, "token keys not read", "url", k.url.Redacted(), "error", err)
	}
	return err
}

// request returns the published keys. It leaves out keys of an unsupported kind. It refuses a set
// of more than maxKeys keys, because a token without a key id is verified with each of them.
func (k *PublishedKeys) request(ctx context.Context) ([]jwkset.JWK, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := k.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	var published jwkset.JWKSMarshal
	if err := json.NewDecoder(response.Body).Decode(&published); err != nil {
		return nil, err
	}
	if len(published.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys are more than %d", len(published.Keys), maxKeys)
	}
	keys := make([]jwkset.JWK, 0, len(published.Keys))
	for _, one := range published.Keys {
		key, err := jwkset.NewJWKFromMarshal(one, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		switch {
		case errors.Is(err, jwkset.ErrUnsupportedKey):
		case err != nil:
			return nil, err
		default:
			keys = append(keys, key)
		}
	}
	return keys, nil
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

// Key implements KeySet. It waits for the first read, and while another call requests keys:
// concurrent tokens often use the same new key. It waits at most about ten seconds.
func (k *PublishedKeys) Key(t *jwt.Token) (any, error) {
	select {
	case <-k.first:
	case <-k.ctx.Done():
	}
	if id, ok := t.Header["kid"].(string); ok && !k.knows(id) {
		k.find(id)
	}
	return k.keys.Keyfunc(t)
}

// find requests the keys if the key is still unknown, at most once in keysPause.
func (k *PublishedKeys) find(id string) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if k.ctx.Err() != nil || k.knows(id) || time.Since(k.asked) < keysPause {
		return
	}
	defer func() { k.asked = time.Now() }()
	_ = k.readLocked(k.ctx) // the log has the error
}

func (k *PublishedKeys) knows(id string) bool {
	_, err := k.storage.KeyRead(context.Background(), id) // reads from memory, so it needs no deadline
	return err == nil
}

// Algorithms implements KeySet. It excludes the HMAC family, because a published key is not a
// secret.
func (k *PublishedKeys) Algorithms() []string {
	return append(append(append([]string{}, rsaAlgorithms...), ecdsaAlgorithms...), edAlgorithms...)
}
