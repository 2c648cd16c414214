package gateway

import (
	"net/http"
	"strings"
	"testing"
)

// ask requests a path for a host.
func (r *running) ask(method, path, host string, header ...string) int {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Host = host
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// What a page could read if its own name led to this machine is not served by that name. Hubs,
// which proxies reach by the public name, are looked at where names are configured; probes never.
func TestHosts(t *testing.T) {
	t.Parallel()
	plain, named := start(t, nil), start(t, func(c *Config) { c.Host = []string{"Example.com", "2001:db8::1", "192.0.2.1"} })
	loopback := []string{"localhost", "LOCALHOST:1", "localhost.", "a.localhost", "a.b.localhost:80", "127.0.0.1", "127.8.9.1:8080", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:1"}
	configured := []string{"example.com", "EXAMPLE.com:8443", "example.com.", "[2001:db8::1]:80", "192.0.2.1"}
	foreign := []string{
		"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost", "localhost.evil", "0.0.0.0", "10.0.0.1", "192.0.2.2:80",
		"[2001:db8::2]", "sub.example.com", "example.com.evil.example", "evilexample.com", "example.com:80:80", "127.1", "2130706433", "%6cocalhost", "localhost@evil.example",
	}
	pages := []string{"/", "/assets/app.js", "/hubs/clock/diagnose", "/HUBS/CLOCK/diagnose", "/nothing", "//", "/healthz/"}
	hub := []string{"/hubs/clock", "/hubs/clock/events", "/HUBS/clock/", "/hubs/clock/carillon.js"}
	probes := []string{"/healthz", "/readyz"}
	check := func(r *running, paths, hosts []string, refused bool) {
		t.Helper()
		for _, path := range paths {
			for _, host := range hosts {
				if status := r.ask(http.MethodHead, path, host); (status == http.StatusMisdirectedRequest) != refused && status != http.StatusBadRequest {
					t.Errorf("%s of %s: %d", path, host, status)
				}
			}
		}
	}
	check(plain, pages, loopback, false)
	check(plain, pages, configured, true)
	check(plain, pages, foreign, true)
	check(plain, hub, foreign, false)
	check(plain, probes, foreign, false)
	check(named, append(pages, hub...), loopback, false)
	check(named, append(pages, hub...), configured, false)
	check(named, append(pages, hub...), foreign, true)
	check(named, probes, foreign, false)
	for _, host := range []string{"evil.example", "example.com"} {
		status := named.ask(http.MethodPost, negotiation, host)
		if want := map[string]int{"evil.example": http.StatusMisdirectedRequest, "example.com": http.StatusOK}[host]; status != want {
			t.Errorf("negotiation of %s: %d", host, status)
		}
	}
}

// A listener that others reach has names that it cannot know.
func TestHostsOfAPublicListener(t *testing.T) {
	c := Config{Host: nil}
	for addr, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "0.0.0.0:80": false, "[::]:80": false, "192.0.2.1:80": false} {
		if got := c.newHosts(address(addr)).loopback; got != want {
			t.Errorf("%s: loopback %t", addr, got)
		}
	}
	for _, name := range []string{"example.com:80", "https://example.com", "*.example.com", "", "[::1]"} {
		c := Config{Path: "/hub", Transports: []string{"WebSockets"}, Host: []string{name}}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--host") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
