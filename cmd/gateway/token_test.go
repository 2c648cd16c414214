package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
)

// tryFor runs the program, which gets time.
func tryFor(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const testSecret = "a secret of more than 32 bytes, for tests"

// anHour matches the rest of an hour that has begun.
var anHour = regexp.MustCompile(`in 59m\d+s`)

// A minted token opens the hub, and inspection shows its contents and the verdict of the hub.
func TestTokenMintAndInspect(t *testing.T) {
	key := secretFile(t, testSecret)
	code, token, stderr := tryFor(t, "token", "mint", "--jwt-key", key, "--jwt-issuer", "me", "--jwt-audience", "hub", "--claim", "role=admin", "--claim", "level=3", "ali")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	token = strings.TrimSpace(token)
	keys, err := bearer.KeyFile(key)
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := bearer.New(bearer.Options{Keys: keys, Issuer: "me", Audience: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	url := greeterBehind(t, func(h http.Handler) http.Handler { return auth.Middleware(authenticator, auth.Require(nil, h)) })
	if code, out, stderr := watchFor(t, url, "--count", "1", "--token", token); code != exitOK {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	t.Setenv("CARILLON_TOKEN", token)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitOK, "signature: not verified"},
		{"", exitOK, `"sub": "ali"`},
		{"", exitOK, `"role": "admin"`},
		{"", exitOK, `"level": 3`},
		{"", exitOK, "expires: "},
		{"", exitOK, "in 1h0m0s"},
		{"--jwt-key " + key, exitOK, "signature: valid"},
		{"--jwt-key " + key + " --jwt-issuer me --jwt-audience hub", exitOK, "signature: valid"},
		{"--jwt-key " + key + " --jwt-issuer other", exitFailure, "The issuer is invalid"},
		{"--jwt-key " + secretFile(t, "another "+testSecret), exitFailure, "The signature is invalid"},
	} {
		code, out, stderr := tryFor(t, append([]string{"token", "inspect"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(anHour.ReplaceAllString(out, "in 1h0m0s")+stderr, c.want) || strings.Contains(out+stderr, token) {
			t.Errorf("%s: exit code %d, %s%s, want %q", c.args, code, out, stderr, c.want)
		}
	}
}

// Wrong keys and texts are refused, without a word of them.
func TestTokenErrors(t *testing.T) {
	public := secretFile(t, "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"mint", "ali"}, "--jwt-key"},
		{[]string{"mint", "--jwt-key", secretFile(t, "hush"), "ali"}, "at least 32"},
		{[]string{"mint", "--jwt-key", public, "ali"}, "public key"},
		{[]string{"mint", "--jwt-key", secretFile(t, testSecret), "--lifetime", "-1s"}, "--lifetime"},
		{[]string{"inspect"}, "no token"},
		{[]string{"inspect", "hush"}, "no JSON Web Token"},
		{[]string{"inspect", "hush.hush.hush"}, "no JSON Web Token"},
	} {
		code, out, stderr := tryFor(t, append([]string{"token"}, c.args...)...)
		if code == exitOK || !strings.Contains(stderr, c.want) || strings.Contains(out+stderr, "hush") {
			t.Errorf("%v: exit code %d, %s%s", c.args, code, out, stderr)
		}
	}
}

// Dates beyond the calendar are shown on the right side of now.
func TestDatesOfATokenBeyondTheCalendar(t *testing.T) {
	for exp, want := range map[float64]string{1e300: "expires: 9999-12-31T23:59:59Z, in ", -1e300: "expired: 0000-01-01T00:00:00Z, "} {
		var shown strings.Builder
		printDates(&shown, map[string]any{"exp": exp})
		if !strings.HasPrefix(shown.String(), want) || strings.Contains(shown.String(), "-2562047h") {
			t.Errorf("%g: %q", exp, shown.String())
		}
	}
}
