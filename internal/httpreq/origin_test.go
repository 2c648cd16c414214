package httpreq_test

import (
	"testing"

	"github.com/carillon-go/carillon/internal/httpreq"
)

// An entry allows its origin, or the subdomains of its host, and nothing beside them.
func TestOriginsAllow(t *testing.T) {
	t.Parallel()
	entries := map[string]bool{} // what the function was asked
	o := httpreq.NewOrigins([]string{
		"https://exact.example", "https://*.example.com", "http://*.localhost:8080", "HTTPS://*.Spelled.example:443", "https://*bad.example", "null",
	}, func(origin string) bool { entries[origin] = true; return origin == "https://asked.example" })
	for origin, want := range map[string]bool{
		"https://exact.example":                true,
		"https://EXACT.example:443":            true,
		"https://sub.exact.example":            false,
		"https://a.example.com":                true,
		"https://a.b-c.xn--d_1.example.com":    true,
		"https://A.Example.com:443":            true,
		"https://example.com":                  false,
		"https://.example.com":                 false,
		"https://a..example.com":               false,
		"https://aexample.com":                 false,
		"https://a.example.com.evil.example":   false,
		"https://a.example.com:8443":           false,
		"http://a.example.com":                 false,
		"wss://a.example.com":                  false,
		"https://evil.example/.example.com":    false,
		"https://evil.example#.example.com":    false,
		"https://user@a.example.com":           false,
		"https://evil.example:443.example.com": false,
		"https://*.example.com":                false,
		"a.example.com":                        false,
		"http://a.localhost:8080":              true,
		"http://a.localhost":                   false,
		"http://localhost:8080":                false,
		"https://a.spelled.example":            true,
		"https://verybad.example":              false,
		"https://bad.example":                  false,
		"https://a.bad.example":                false,
		"null":                                 true,
		"":                                     false,
		"https://asked.example":                true,
		"HTTPS://ASKED.example:443":            true,
		"https://asked.example:8443":           false,
	} {
		if got := o.Allows(origin); got != want {
			t.Errorf("%q: %t", origin, got)
		}
	}
	if entries["https://exact.example"] || !entries["https://example.com"] {
		t.Error("the function is asked about what the list allows, or not about the rest")
	}
	if !httpreq.NewOrigins([]string{"https://a.example", "*"}, nil).Allows("http://any.example") {
		t.Error("* does not allow all")
	}
}
