package connection_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/carillon-go/carillon/internal/connection"
)

// Numbers of resumptions are the same on all systems, and no number takes the count back.
func TestResumption(t *testing.T) {
	for value, want := range map[string]int{
		"": 0, "0": 0, "1": 1, "2147483647": 1<<31 - 1,
		"-1": 0, "-9223372036854775808": 0, "2147483648": 0, "4294967297": 0, "9223372036854775807": 0, "18446744073709551617": 0, "1e3": 0, "x": 0,
	} {
		r := &http.Request{URL: &url.URL{RawQuery: "id=a&carillonResume=" + url.QueryEscape(value)}}
		if got := connection.Resumption(r); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}
