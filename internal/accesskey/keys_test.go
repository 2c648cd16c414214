package accesskey

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	current  = "current-key-with-more-than-32-bytes-aaaa"
	previous = "previous-key-with-more-than-32-bytes-bbb"
	other    = "another-key-with-more-than-32-bytes-cccc"
)

func keysOf(t testing.TB, o Options, access ...string) *Keys {
	t.Helper()
	k, err := Parse(access, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	short := strings.Repeat("s", 31)
	for name, c := range map[string]struct {
		access, api []string
		o           Options
		want        string // "": accepted
	}{
		"one access key":                     {access: []string{current}},
		"two":                                {access: []string{current, previous}},
		"three":                              {access: []string{current, previous, other}, want: "there are 3 access keys"},
		"API keys":                           {api: []string{current, previous, other}},
		"too many API keys":                  {api: slices.Repeat([]string{current}, 101), want: "there are 101 API keys"},
		"an access key of 31 bytes":          {access: []string{current, short}, want: "access key 2 has 31 bytes"},
		"an API key of 31 bytes":             {api: []string{short}, want: "API key 1 has 31 bytes"},
		"an empty key":                       {access: []string{""}, want: "access key 1 has 0 bytes"},
		"bytes count, not letters":           {access: []string{strings.Repeat("ä", 16)}},
		"a connection string":                {access: []string{"Endpoint=http://a;AccessKey=" + current + ";Version=1.0;"}, want: "has a semicolon"},
		"white space":                        {access: []string{current + " " + previous}, want: "has white space"},
		"the emulator's key":                 {access: []string{emulatorKey}, want: "public key of Microsoft's emulator"},
		"the emulator's key as API key":      {api: []string{emulatorKey}, want: "public key of Microsoft's emulator"},
		"the emulator's key, on loopback":    {access: []string{emulatorKey}, o: Options{Loopback: true}},
		"audiences":                          {access: []string{current}, o: Options{Audiences: []string{"https://a.example", "http://[::1]:7000/"}}},
		"an audience without a scheme":       {access: []string{current}, o: Options{Audiences: []string{"a.example"}}, want: "the audience"},
		"an audience with a path of its own": {access: []string{current}, o: Options{Audiences: []string{"https://a.example/x"}}, want: "the audience"},
	} {
		_, err := Parse(c.access, c.api, c.o)
		switch {
		case (err == nil) != (c.want == ""), err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		case err != nil && (strings.Contains(err.Error(), current) || strings.Contains(err.Error(), short)):
			t.Errorf("%s: the error quotes a key: %v", name, err)
		}
	}
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	k, err := Parse([]string{current}, []string{previous, other}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		previous: true, other: true, current: false, "": false, previous[:len(previous)-1]: false, previous + "x": false,
		strings.ToUpper(previous): false, strings.Repeat("x", 1<<20): false,
	} {
		if k.APIKey(text) != want {
			t.Errorf("%.50q: %v", text, !want)
		}
	}
	if none := (&Keys{}); none.APIKey("") || !none.Empty() || k.Empty() || none.Signature("id") != "" {
		t.Error("keys without a key admit somebody")
	}
}

func TestFilesOfKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	for text, want := range map[string][]string{
		"":                                     nil,
		"a\nb":                                 {"a", "b"},
		"\ufeff a \r\n\r\n\tb\r\n":             {"a", "b"},
		"\n#a=;\n":                             {"#a=;"}, // a key may begin so
		strings.Repeat("x", 64<<10) + "\nlong": nil,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(path)
		if tooLong := len(text) > 64<<10; !slices.Equal(got, want) || (err != nil) != tooLong {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	if _, err := ReadFile(path + ".none"); err == nil {
		t.Error("a file that does not exist")
	}
}

func TestSignatureOfAConnection(t *testing.T) {
	t.Parallel()
	var want []string
	for _, key := range []string{current, previous} {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte("connection-1"))
		want = append(want, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	if got := keysOf(t, Options{}, current, previous).Signature("connection-1"); got != strings.Join(want, ",") {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestConnectionStrings(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:7000":   "Endpoint=http://127.0.0.1:7000;AccessKey=KEY;Version=1.0;",
		"https://rt.example.com/": "Endpoint=https://rt.example.com;AccessKey=KEY;Version=1.0;",
		"https://[::1]:7000":      "Endpoint=https://[::1]:7000;AccessKey=KEY;Version=1.0;",
		"rt.example.com":          "", "ws://a": "", "https://a/b": "", "https://u:p@a": "", "https://a?b": "", "https://a#b": "", "https://": "", "https://a;b": "", "https://:80": "",
	} {
		if got, err := ConnectionString(endpoint, "KEY"); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", endpoint, got, err)
		}
	}
	made := []string{New(), New()}
	if _, err := Parse(made, nil, Options{}); err != nil || made[0] == made[1] {
		t.Errorf("a new key is not valid: %v", err)
	}
}
