package bearer

import (
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider publishes a key, and waits each time until it may.
type provider struct {
	key    atomic.Pointer[ed25519.PublicKey]
	asked  chan struct{}
	answer chan struct{}
}

func (p *provider) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.asked <- struct{}{}
	<-p.answer
	public := *p.key.Load()
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
		"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
		"kid": base64.RawURLEncoding.EncodeToString(public[:8]),
		"x":   base64.RawURLEncoding.EncodeToString(public),
	}}})
}

// rotate publishes a new key, and returns a token of it.
func (p *provider) rotate(t *testing.T) (token string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	j := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "a", "exp": in(time.Minute)})
	j.Header["kid"] = base64.RawURLEncoding.EncodeToString(public[:8])
	token, err = j.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	p.key.Store(&public)
	return token
}

// The identity provider replaces its key; tokens of the new one are accepted without a
// restart, those too that come while it is asked.
func TestJWKSRotation(t *testing.T) {
	p := &provider{asked: make(chan struct{}, 100), answer: make(chan struct{}, 100)}
	server := httptest.NewServer(p)
	defer server.Close()
	first := p.rotate(t)
	p.answer <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys, err := JWKS(ctx, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := testBearer(t, Options{Keys: keys})
	if _, err := b.Authenticate(withHeader(first)); err != nil {
		t.Fatal(err)
	}
	<-p.asked
	second := p.rotate(t)
	const clients = 20
	results := make(chan error, clients)
	enter := func() {
		_, err := b.Authenticate(withHeader(second))
		results <- err
	}
	go enter()
	<-p.asked
	for range clients - 1 {
		go enter()
	}
	if _, err := b.Authenticate(withHeader(first)); err != nil {
		t.Errorf("who has a key that is known waits: %v", err)
	}
	close(p.answer)
	for range clients {
		if err := <-results; err != nil {
			t.Errorf("after the rotation: %v", err)
		}
	}
	if _, err := b.Authenticate(withHeader(first)); err == nil {
		t.Error("the key that was taken back still verifies")
	}
	if len(p.asked) != 0 {
		t.Error("the provider is asked for everybody")
	}
}

// What a provider publishes beyond any measure is not read, and is taken for a provider that
// cannot be reached: the keys that are known stay, and it is asked again later.
func TestJWKSLimits(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	endless := func(ctx context.Context, w io.Writer, piece string, pause time.Duration) {
		for ctx.Err() == nil {
			n, err := io.WriteString(w, piece)
			sent.Add(int64(n))
			if err != nil {
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
	var hops atomic.Int64
	answers := map[string]http.HandlerFunc{
		"endless space": func(w http.ResponseWriter, r *http.Request) { endless(r.Context(), w, strings.Repeat(" ", 1<<16), 0) },
		"an endless key": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[{"kty":"oct","k":"`)
			endless(r.Context(), w, strings.Repeat("A", 1<<16), 0)
		},
		"endless keys": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[{}`)
			endless(r.Context(), w, strings.Repeat(`,{"kty":"x"}`, 1000), 0)
		},
		"compressed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			endless(r.Context(), gzip.NewWriter(w), strings.Repeat(" ", 1<<16), 0)
		},
		"an endless head": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"slow": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(50 * time.Millisecond) //nolint:forbidigo // slowness is what is tried
			}
		},
		"many keys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[{"kty":"oct","kid":"0","k":"AAAA"}`+strings.Repeat(`,{"kty":"oct","kid":"1","k":"AAAA"}`, 100)+`]}`)
		},
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			hops.Add(1)
			http.Redirect(w, r, "/", http.StatusFound)
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(answer)
			defer server.Close()
			defer server.CloseClientConnections()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			keys, err := JWKS(ctx, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if all, err := keys.storage.KeyReadAll(ctx); err != nil || len(all) > 0 {
				t.Errorf("%d keys, %v", len(all), err)
			}
		})
	}
	t.Cleanup(func() {
		if n := sent.Load(); n > 64<<20 {
			t.Errorf("%d bytes were taken", n)
		}
		if n := hops.Load(); n > 4 {
			t.Errorf("%d redirects were followed", n)
		}
	})
}

// A provider that goes wrong after the start does not take away the keys that are known.
func TestJWKSKeepsItsKeys(t *testing.T) {
	t.Parallel()
	p := &provider{asked: make(chan struct{}, 10), answer: make(chan struct{}, 10)}
	close(p.answer)
	wrong := atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wrong.Load() {
			_, _ = fmt.Fprintf(w, `{"keys":[%s]}`, strings.Repeat(" ", 2<<20))
			return
		}
		p.ServeHTTP(w, r)
	}))
	defer server.Close()
	token := p.rotate(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys, err := JWKS(ctx, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := testBearer(t, Options{Keys: keys})
	wrong.Store(true)
	if _, err := b.Authenticate(withHeader(p.rotate(t))); err == nil {
		t.Error("a key that was not published verifies")
	}
	if _, err := b.Authenticate(withHeader(token)); err != nil {
		t.Error(err)
	}
}

// A provider that does not answer delays neither the start nor a request beyond the end of the
// context.
func TestJWKSOfASilentProvider(t *testing.T) {
	t.Parallel()
	asked, ended := make(chan struct{}, 10), make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys, err := JWKS(ctx, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	if len(ended) != 0 {
		t.Error("the start waits until the first read fails")
	}
	result := make(chan error, 1)
	go func() { // awaited below
		_, err := testBearer(t, Options{Keys: keys}).Authenticate(withHeader((&provider{}).rotate(t)))
		result <- err
	}()
	cancel()
	if err := <-result; err == nil {
		t.Error("an unknown key verifies")
	}
	<-ended
}

// Refresh reads the keys at once, and a read that fails keeps them.
func TestJWKSRefresh(t *testing.T) {
	t.Parallel()
	p := &provider{asked: make(chan struct{}, 10), answer: make(chan struct{})}
	close(p.answer)
	wrong := atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wrong.Load() {
			http.Error(w, "gone", http.StatusInternalServerError)
			return
		}
		p.ServeHTTP(w, r)
	}))
	defer server.Close()
	first := p.rotate(t)
	keys, err := JWKS(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := testBearer(t, Options{Keys: keys})
	second := p.rotate(t)
	if err := keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrong.Store(true)
	if err := keys.Refresh(t.Context()); err == nil {
		t.Error("status 500 is taken for keys")
	}
	if _, err := b.Authenticate(withHeader(second)); err != nil {
		t.Error(err)
	}
	if _, err := b.Authenticate(withHeader(first)); err == nil {
		t.Error("the key that was taken back still verifies")
	}
}
