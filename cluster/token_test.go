package cluster

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

const (
	testHub     = "/chat"
	testAddress = "192.0.2.10:8301"
	testKey     = "AAECAwQFBgcICQoLDA0ODw"
)

// randomSecret returns a secret for tests.
func randomSecret() []byte {
	b := make([]byte, secretLength)
	_, _ = rand.Read(b)
	return b
}

// newTestSealer returns the sealer of a new process.
func newTestSealer(t testing.TB, address string, secrets ...[]byte) *sealer {
	t.Helper()
	var all []keys
	for _, secret := range secrets {
		k, err := newKeys(secret)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	s, err := newSealer(all, process{newPID(), address})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, s *sealer, hub, key string) string {
	t.Helper()
	token, ok := s.seal(hub, key)
	if !ok {
		t.Fatalf("%s has sealed nothing", s.self.address)
	}
	return token
}

func TestEveryProcessOfAClusterOpensAToken(t *testing.T) {
	t.Parallel()
	secret := randomSecret()
	for address, length := range map[string]int{
		testAddress:                           80,
		"255.255.255.255:65535":               80,
		"[2001:db8::1]:8301":                  96,
		"a:1":                                 75,
		strings.Repeat("n", 39) + ":8301":     130,
		"gateway-0.gateway.svc.cluster.l:443": 118,
	} {
		home, other := newTestSealer(t, address, secret), newTestSealer(t, testAddress, secret)
		token := sealed(t, home, testHub, testKey)
		if len(token) != length {
			t.Errorf("%s: a token of %d characters, want %d", address, len(token), length)
		}
		for _, s := range []*sealer{home, other, other} { // the last one knows the process
			got, ok := s.open(testHub, token)
			if want := (opened{testKey, process{home.self.pid, address}}); !ok || got != want {
				t.Errorf("%s: %+v, %t, want %+v", address, got, ok, want)
			}
		}
		if again := sealed(t, home, testHub, testKey); again == token {
			t.Error("two tokens are equal")
		}
	}
}

func TestTokenHidesTheHomeAndTheKey(t *testing.T) {
	t.Parallel()
	s := newTestSealer(t, "secret.example:8301", randomSecret())
	token, err := base64.RawURLEncoding.DecodeString(sealed(t, s, testHub, testKey))
	key, _ := base64.RawURLEncoding.DecodeString(testKey)
	if err != nil || bytes.Contains(token, []byte("secret")) || bytes.Contains(token, key) {
		t.Errorf("%q %v", token, err)
	}
}

// Both secrets open tokens while one replaces the other, and the old one alone opens no new token.
func TestRotation(t *testing.T) {
	t.Parallel()
	old, current := randomSecret(), randomSecret()
	before, during, after := newTestSealer(t, testAddress, old, current), newTestSealer(t, testAddress, current, old), newTestSealer(t, testAddress, current)
	only := newTestSealer(t, testAddress, old)
	for _, c := range []struct {
		name    string
		by, who *sealer
		want    bool
	}{
		{"old by the first step", before, only, true},
		{"old by the second step", before, during, true},
		{"old by the last step", before, after, false},
		{"current by the first step", during, before, true},
		{"current by the last step", during, after, true},
		{"current by a node without it", during, only, false},
	} {
		if _, ok := c.who.open(testHub, sealed(t, c.by, testHub, testKey)); ok != c.want {
			t.Errorf("%s: %t", c.name, ok)
		}
	}
}

// forge returns a token with one changed byte.
func forge(t *testing.T, token string, change func([]byte) []byte) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(change(b))
}

func TestNoOtherTextOpens(t *testing.T) {
	t.Parallel()
	secret := randomSecret()
	home, other, foreign := newTestSealer(t, testAddress, secret), newTestSealer(t, testAddress, secret), newTestSealer(t, testAddress, randomSecret())
	token := sealed(t, home, testHub, testKey)
	texts := map[string]string{
		"empty":               "",
		"a key":               testKey,
		"another cluster's":   sealed(t, foreign, testHub, testKey),
		"another hub's":       sealed(t, home, "/other", testKey),
		"a hub with a prefix": sealed(t, home, testHub+"s", testKey),
		"no base64":           token[:len(token)-1] + "!",
		"padded":              token + "=",
		"two":                 token + "," + token,
		"twice":               token + token,
		"longer":              token + "AAAA",
		"as long as a token":  strings.Repeat("A", 80),
		"as long as allowed":  strings.Repeat("A", maxToken),
		"version 0":           forge(t, token, func(b []byte) []byte { b[0] = 0; return b }),
		"version 2":           forge(t, token, func(b []byte) []byte { b[0] = 2; return b }),
		"another process":     forge(t, token, func(b []byte) []byte { copy(b[1:], other.self.pid[:]); return b }),
		"an unknown process":  forge(t, token, func(b []byte) []byte { b[1]++; return b }),
	}
	for i := range token {
		texts[fmt.Sprintf("truncated to %d", i)] = token[:i]
	}
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	for i := range raw {
		texts[fmt.Sprintf("byte %d changed", i)] = forge(t, token, func(b []byte) []byte { b[i] ^= 1; return b })
	}
	for name, text := range texts {
		for _, s := range []*sealer{home, other} {
			if got, ok := s.open(testHub, text); ok {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	if len(other.byPID) != 1 {
		t.Errorf("forged tokens are kept: %d processes", len(other.byPID))
	}
	if _, ok := other.open(testHub, token); !ok {
		t.Error("the token itself does not open")
	}
}

// The processes of many restarts are forgotten, and their tokens still open.
func TestCiphersAreBounded(t *testing.T) {
	t.Parallel()
	secret := randomSecret()
	s := newTestSealer(t, testAddress, secret)
	first := sealed(t, newTestSealer(t, testAddress, secret), testHub, testKey)
	for range maxKnown + 10 {
		s.open(testHub, sealed(t, newTestSealer(t, testAddress, secret), testHub, testKey))
		if len(s.byPID) > maxKnown {
			t.Fatalf("%d processes", len(s.byPID))
		}
	}
	for _, token := range []string{first, sealed(t, s, testHub, testKey)} {
		if _, ok := s.open(testHub, token); !ok {
			t.Error("a token no longer opens")
		}
	}
}

func TestKeysThatAreNotSealed(t *testing.T) {
	t.Parallel()
	s := newTestSealer(t, testAddress, randomSecret())
	for _, key := range []string{"", "short", testKey + "A", testKey[:21] + "x", testKey[:21] + "!", strings.Repeat("A", 100)} {
		if token, ok := s.seal(testHub, key); ok {
			t.Errorf("%q: %s", key, token)
		}
	}
}

func TestAddressesThatNoNodeCanHave(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "host", ":8301", "0.0.0.0:8301", "[::]:8301", "host:0", "host:http", "host:65536", "ho st:1", "h\x7f:1", "hé:1", "2001:db8::1:80",
		strings.Repeat("n", 40) + ":8301",
	} {
		if b, err := encodeAddress(address); err == nil {
			t.Errorf("%q: %q", address, b)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	good, other := NewSecret(), NewSecret()
	for name, c := range map[string]struct {
		text string
		want string // in the error; "": none
	}{
		"one":       {good, ""},
		"two":       {good + "\n" + other + "\n", ""},
		"none":      {" \n", "there is no secret"},
		"three":     {strings.Repeat(good+"\n", 3), "there are 3 secrets"},
		"short":     {base64.StdEncoding.EncodeToString(make([]byte, 31)), "secret 1 has 31 bytes; it must have 32"},
		"short old": {good + " " + base64.StdEncoding.EncodeToString([]byte("password")), "secret 2 has 8 bytes"},
		"no base64": {"correct-horse-battery-staple-correct-horse-battery", "secret 1 is not base64"},
	} {
		secrets, err := ParseSecrets(c.text)
		if c.want == "" && (err != nil || len(secrets[0]) != secretLength) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %d secrets, %v", name, len(secrets), err)
		}
	}
	if good == other {
		t.Error("two new secrets are equal")
	}
}

// The keys for tokens and for the link are different ones.
func TestLabelsSeparateKeys(t *testing.T) {
	t.Parallel()
	k, err := newKeys(randomSecret())
	if err != nil {
		t.Fatal(err)
	}
	p := newPID()
	all := [][]byte{k.derive(tokenLabel + string(p[:])), k.derive(linkLabel), k.link().Seed(), k.derive(tokenLabel)}
	if !bytes.Equal(all[1], all[2]) || bytes.Equal(all[0], all[1]) || bytes.Equal(all[0], all[3]) {
		t.Errorf("%x", all)
	}
}

func FuzzOpen(f *testing.F) {
	secret := make([]byte, secretLength)
	s := newTestSealer(f, testAddress, secret)
	token := sealed(f, s, testHub, testKey)
	for _, seed := range []string{"", testKey, token, token[1:], token + "A", strings.Repeat("_", maxToken)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Only tokens of this test open: each process of a fuzzing run seals another one.
		if got, ok := s.open(testHub, text); ok && (got.key != testKey || got.home.address != testAddress) {
			t.Errorf("%q opens: %+v", text, got)
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, address := range []string{testAddress, "[2001:db8::1]:8301", "[::ffff:192.0.2.1]:1", "[fe80::1%eth0]:80", "host:1"} {
		b, _ := encodeAddress(address)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		address, err := parseAddress(b)
		if err != nil {
			return
		}
		if again, err := encodeAddress(address); err != nil || !bytes.Equal(again, b) || len(b) > maxAddress {
			t.Errorf("%q: %q, %q, %v", b, address, again, err)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	secret := randomSecret()
	home, other := newTestSealer(b, testAddress, secret), newTestSealer(b, testAddress, secret)
	token := sealed(b, home, testHub, testKey)
	made := sealed(b, newTestSealer(b, testAddress, randomSecret()), testHub, testKey)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			home.seal(testHub, testKey)
		}
	})
	for name, text := range map[string]string{"open": token, "open_made_up": made} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				other.open(testHub, text)
			}
		})
	}
}
