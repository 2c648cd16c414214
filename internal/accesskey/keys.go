// Package accesskey holds the keys of a hub: access keys, which sign tokens as those of Azure
// SignalR Service do, and API keys, which a request carries as they are.
package accesskey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"unicode"
)

const (
	// minKey is the shortest allowed key in bytes: as long as the output of HS256 (RFC 7518, 3.2).
	minKey = 32
	// maxAccessKeys is the number of access keys of a hub: the current one and, while it is
	// being replaced, its successor or predecessor.
	maxAccessKeys = 2
	// maxAPIKeys limits the work of comparing a key.
	maxAPIKeys = 100
	// maxFile is the size of a file of keys.
	maxFile = 64 << 10
)

// emulatorKey is the access key of Microsoft's emulator, which everybody can read.
const emulatorKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

// Options say which keys Parse accepts.
type Options struct {
	// Loopback says that only programs of this machine reach the listener. The public key of
	// Microsoft's emulator is then accepted. Default false.
	Loopback bool
	// Audiences are the public URLs of the server, such as https://rt.example.com:8443. The
	// audience of a token must have the scheme and host of one of them and, if it has a port,
	// that port. Default: they are not compared.
	Audiences []string
}

// Keys are the keys of a hub. The zero value has none and admits no request. Keys do not change.
// Safe for concurrent use.
type Keys struct {
	access    [][]byte
	api       [][sha256.Size]byte
	audiences []*url.URL // none: scheme, host and port are not compared
}

// Parse returns keys made of texts: at most two access keys and at most 100 API keys, each of
// at least 32 bytes. A key has neither white space nor semicolons. The error says which text is
// not valid and quotes nothing of a key.
func Parse(access, api []string, o Options) (*Keys, error) {
	if len(access) > maxAccessKeys {
		return nil, fmt.Errorf("there are %d access keys; a hub has one, or two while one replaces the other", len(access))
	}
	if len(api) > maxAPIKeys {
		return nil, fmt.Errorf("there are %d API keys; a hub has at most %d", len(api), maxAPIKeys)
	}
	k := &Keys{}
	for i, key := range access {
		if err := check(key, o); err != nil {
			return nil, fmt.Errorf("access key %d %w", i+1, err)
		}
		k.access = append(k.access, []byte(key))
	}
	for i, key := range api {
		if err := check(key, o); err != nil {
			return nil, fmt.Errorf("API key %d %w", i+1, err)
		}
		k.api = append(k.api, sha256.Sum256([]byte(key)))
	}
	for _, text := range o.Audiences {
		u, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("the audience %q: %w", text, err)
		}
		k.audiences = append(k.audiences, u)
	}
	return k, nil
}

func check(key string, o Options) error {
	switch {
	case strings.Contains(key, ";"):
		return errors.New("has a semicolon; it is the text after AccessKey= in a connection string, without the rest")
	case strings.ContainsFunc(key, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }):
		return errors.New("has white space in it")
	case len(key) < minKey:
		return fmt.Errorf("has %d bytes; use at least %d random ones", len(key), minKey)
	case key == emulatorKey && !o.Loopback:
		return errors.New("is the public key of Microsoft's emulator; it is accepted only by a listener at a loopback address")
	}
	return nil
}

// ReadFile returns the keys in a file, which has one on each line. Empty lines do not count.
func ReadFile(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: a file of keys has at most %d bytes", path, maxFile)
	}
	var keys []string
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" {
			keys = append(keys, line)
		}
	}
	return keys, nil
}

// Empty reports whether there is no key.
func (k *Keys) Empty() bool { return len(k.access)+len(k.api) == 0 }

// APIKey reports whether text is an API key. The time does not depend on how much of a key is
// right.
func (k *Keys) APIKey(text string) bool {
	sum, found := sha256.Sum256([]byte(text)), 0
	for i := range k.api {
		found |= subtle.ConstantTimeCompare(sum[:], k.api[i][:])
	}
	return found == 1
}

// Signature returns the X-ASRS-Signature of a connection: the HMAC-SHA256 of its id, in
// hexadecimal, for each access key. It returns "" without access keys.
func (k *Keys) Signature(connectionID string) string {
	all := make([]string, 0, len(k.access))
	for _, sum := range k.HMAC([]byte(connectionID)) {
		all = append(all, "sha256="+hex.EncodeToString(sum))
	}
	return strings.Join(all, ",")
}

// HMAC returns the HMAC-SHA256 of data, one for each access key.
func (k *Keys) HMAC(data []byte) [][]byte {
	all := make([][]byte, 0, len(k.access))
	for _, key := range k.access {
		mac := hmac.New(sha256.New, key)
		mac.Write(data)
		all = append(all, mac.Sum(nil))
	}
	return all
}

// New returns a new random key of 44 characters.
func New() string {
	random := make([]byte, minKey)
	_, _ = rand.Read(random) // never fails
	return base64.StdEncoding.EncodeToString(random)
}

// ConnectionString returns the line with which an application finds the server at endpoint, a URL
// such as https://rt.example.com:8443, and signs with key.
func ConnectionString(endpoint, key string) (string, error) {
	u, err := parseURL(endpoint)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Endpoint=%s://%s;AccessKey=%s;Version=1.0;", u.Scheme, u.Host, key), nil
}

// parseURL parses the URL of a server.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#;") {
		return nil, errors.New("the URL of a server has a scheme, a host and no path, such as https://rt.example.com")
	}
	return u, nil
}
