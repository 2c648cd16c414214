package forwarded

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

var networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// through is what an application gets of a request with these headers.
func through(t testing.TB, peer string, header http.Header) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/hub", nil)
	r.Host, r.RemoteAddr, r.Header = "inner", peer, header
	var got *http.Request
	Trust(networks)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r })).ServeHTTP(nil, r)
	return got
}

func lines(of ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(of); i += 2 {
		h.Add(of[i], of[i+1])
	}
	return h
}

func TestTrust(t *testing.T) {
	const proxy = "10.0.0.1:99"
	for name, c := range map[string]struct {
		peer   string
		header http.Header
		want   string // RemoteAddr, scheme, host
	}{
		"no header":                {proxy, lines(), "10.0.0.1:99  inner"},
		"one proxy":                {proxy, lines("X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "example.com:8443"), "192.0.2.1:0 https example.com:8443"},
		"untrusted peer":           {"192.0.2.9:5", lines("X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil", "Forwarded", "for=1.2.3.4"), "192.0.2.9:5  inner"},
		"peer mapped to IPv6":      {"[::ffff:10.0.0.1]:99", lines("X-Forwarded-For", "192.0.2.1"), "192.0.2.1:0  inner"},
		"peer without address":     {"@", lines("X-Forwarded-For", "192.0.2.1"), "@  inner"},
		"what the client wrote":    {proxy, lines("X-Forwarded-For", "1.1.1.1, 192.0.2.1"), "192.0.2.1:0  inner"},
		"client claims a proxy":    {proxy, lines("X-Forwarded-For", "1.1.1.1, 10.9.9.9, 192.0.2.1, 10.0.0.2"), "192.0.2.1:0  inner"},
		"lines of their own":       {proxy, lines("X-Forwarded-For", "1.1.1.1", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-For", "10.0.0.2"), "192.0.2.1:0  inner"},
		"a client among ours":      {proxy, lines("X-Forwarded-For", "10.3.3.3"), "10.3.3.3:0  inner"},
		"port":                     {proxy, lines("X-Forwarded-For", "192.0.2.1:77"), "192.0.2.1:77  inner"},
		"IPv6":                     {proxy, lines("X-Forwarded-For", "2001:db8::1"), "[2001:db8::1]:0  inner"},
		"IPv6 in brackets":         {proxy, lines("X-Forwarded-For", "[2001:db8::1]"), "[2001:db8::1]:0  inner"},
		"IPv6 with a port":         {proxy, lines("X-Forwarded-For", "[2001:db8::1]:77"), "[2001:db8::1]:77  inner"},
		"half a bracket":           {proxy, lines("X-Forwarded-For", "[2001:db8::1"), "10.0.0.1:99  inner"},
		"zone":                     {proxy, lines("X-Forwarded-For", "fe80::1%eth0"), "10.0.0.1:99  inner"},
		"garbage":                  {proxy, lines("X-Forwarded-For", "<script>, \x00", "X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "a/b@c"), "10.0.0.1:99  inner"},
		"garbage before a proxy":   {proxy, lines("X-Forwarded-For", "nobody, 10.0.0.2"), "10.0.0.2:0  inner"},
		"protos of each":           {proxy, lines("X-Forwarded-For", "1.1.1.1, 192.0.2.1, 10.0.0.2", "X-Forwarded-Proto", "http, https, http"), "192.0.2.1:0 https inner"},
		"proto that a client adds": {proxy, lines("X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https,http"), "192.0.2.1:0 http inner"},

		"Forwarded":             {proxy, lines("Forwarded", "for=192.0.2.1;proto=https;host=example.com;by=10.0.0.1"), "192.0.2.1:0 https example.com"},
		"Forwarded, quoted":     {proxy, lines("Forwarded", `For="[2001:db8::1]:77" ; Proto=https`), "[2001:db8::1]:77 https inner"},
		"Forwarded, escaped":    {proxy, lines("Forwarded", `for="192.0.2.\1"`), "192.0.2.1:0  inner"},
		"Forwarded, many":       {proxy, lines("Forwarded", "for=1.1.1.1;proto=https", "Forwarded", "for=192.0.2.1, for=10.0.0.2;host=example.com"), "192.0.2.1:0  example.com"},
		"Forwarded, hidden":     {proxy, lines("Forwarded", "for=1.1.1.1, for=_hidden, for=10.0.0.2"), "10.0.0.2:0  inner"},
		"Forwarded, unknown":    {proxy, lines("Forwarded", "for=unknown"), "10.0.0.1:99  inner"},
		"Forwarded, open quote": {proxy, lines("Forwarded", `for="1.1.1.1, for=192.0.2.1`), "10.0.0.1:99  inner"},
		"Forwarded, comma":      {proxy, lines("Forwarded", `for=1.1.1.1;by="a, for=2.2.2.2", for=192.0.2.1`), "192.0.2.1:0  inner"},
		"Forwarded, twice for":  {proxy, lines("Forwarded", "for=192.0.2.1;for=1.1.1.1"), "10.0.0.1:99  inner"},
		"Forwarded, huge":       {proxy, lines("Forwarded", strings.Repeat("for=10.0.0.2,", 10_000)+"for=192.0.2.1"), "10.0.0.1:99  inner"},
		"both agree":            {proxy, lines("Forwarded", "for=192.0.2.1;proto=https", "X-Forwarded-For", "192.0.2.1"), "192.0.2.1:0 https inner"},
		"one is the client's":   {proxy, lines("Forwarded", "for=1.1.1.1;proto=https", "X-Forwarded-For", "192.0.2.1"), "0.0.0.0:0  inner"},
		"too many proxies":      {proxy, lines("X-Forwarded-For", "192.0.2.1"+strings.Repeat(", 10.0.0.7", 100_000)), "10.0.0.7:0  inner"},
		"a huge element":        {proxy, lines("X-Forwarded-For", strings.Repeat("1", 1<<20)), "10.0.0.1:99  inner"},
	} {
		r := through(t, c.peer, c.header)
		if got := strings.Join([]string{r.RemoteAddr, r.URL.Scheme, r.Host}, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if carries(r.Header) {
			t.Errorf("%s: headers are left: %v", name, r.Header)
		}
	}
}

func TestPrefixOfTrustedPeersIsLeft(t *testing.T) {
	if r := through(t, "10.0.0.1:1", lines(PrefixHeader, "/app")); r.Header.Get(PrefixHeader) != "/app" {
		t.Error("taken away")
	}
	if r := through(t, "192.0.2.1:1", lines(PrefixHeader, "/app")); r.Header.Get(PrefixHeader) != "" {
		t.Error("left")
	}
}

// The request is the server's: what it logs is what came.
func TestRequestIsNotChanged(t *testing.T) {
	header := lines("X-Forwarded-For", "192.0.2.1", "Other", "x")
	if r := through(t, "10.0.0.1:1", header); r.Header.Get("Other") != "x" || header.Get("X-Forwarded-For") == "" {
		t.Error(header)
	}
}

func FuzzTrust(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1, 10.0.0.2", "[2001:db8::1]:77", `for="[2001:db8::1]:77";proto=https, for=_x`, `for="\`, ",;=,", "for=10.0.0.1;host=a:b"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, standard, x string) {
		header := lines("Forwarded", standard, "X-Forwarded-For", x, "X-Forwarded-Proto", x, "X-Forwarded-Host", x)
		r := through(t, "10.0.0.1:1", header)
		if _, err := netip.ParseAddrPort(r.RemoteAddr); err != nil {
			t.Error(err)
		}
		if scheme := r.URL.Scheme; scheme != "" && scheme != "http" && scheme != "https" {
			t.Errorf("scheme %q", scheme)
		}
		if strings.ContainsAny(r.Host, "/@?#\\ \r\n\"") {
			t.Errorf("host %q", r.Host)
		}
		if again := through(t, "192.0.2.1:1", header); again.RemoteAddr != "192.0.2.1:1" || again.Host != "inner" {
			t.Error("an untrusted peer was believed")
		}
	})
}
