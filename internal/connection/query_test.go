package connection_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/fold"
)

// FuzzParameter compares with the standard library's reading.
func FuzzParameter(f *testing.F) {
	for _, seed := range []string{"", "id=a", "ID=a&iD=b", "i%64=a%20b+c", "id", "id=&id", "id=a;b", "x;id=a", "id=%zz&id=b", "%zz=1&id=1", "a=b&&id==c", "+id=a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		value, n := connection.Parameter(&http.Request{URL: &url.URL{RawQuery: query}}, "id")
		values, _ := url.ParseQuery(query)
		var want []string
		for name, all := range values {
			if fold.Equal(name, "id") {
				want = append(want, all...)
			}
		}
		// Of names in different cases the map knows no order.
		if n != len(want) || n == 1 && value != want[0] || len(value) != len(strings.Join(want, ",")) {
			t.Errorf("%q: %q, %d, want %q", query, value, n, want)
		}
	})
}

// A parameter that a URL repeats is read in linear time.
func TestRepeatedParameter(t *testing.T) {
	const times = 5000
	r := &http.Request{URL: &url.URL{RawQuery: strings.Repeat("id=a&", times)}}
	value, n := connection.Parameter(r, "id")
	if want := strings.TrimSuffix(strings.Repeat("a,", times), ","); n != times || value != want {
		t.Errorf("%d values of %d bytes", n, len(value))
	}
	if allocations := testing.AllocsPerRun(3, func() { connection.Parameter(r, "id") }); allocations > 100 {
		t.Errorf("%.0f allocations for %d values", allocations, times)
	}
}

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
