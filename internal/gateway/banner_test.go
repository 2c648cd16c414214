package gateway

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// The URLs of the banner can be opened, also where the system chooses the port.
func TestTheBannersURLsAnswer(t *testing.T) {
	banner := &lockedBuffer{}
	r := startWith(t, func(c *Config) { c.MetricsAddr = ":0" }, func(s *Server) { s.Announce(banner) })
	for !strings.Contains(banner.String(), "Ctrl+C") {
		r.do(http.MethodGet, "/healthz", "") // the banner is printed beside this
	}

	urls := regexp.MustCompile(`http://\S+`).FindAllString(banner.String(), -1)
	if len(urls) != 4 {
		t.Errorf("%q in %s", urls, banner)
	}
	for _, url := range urls {
		there := *r
		there.url = url
		if answer := there.do(http.MethodGet, "", ""); answer.StatusCode == http.StatusNotFound {
			t.Errorf("%s: %s", url, answer.Status)
		}
	}
}
