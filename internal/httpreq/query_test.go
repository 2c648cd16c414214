package httpreq_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/httpreq"
)

// FuzzParameter compares with the standard library's reading.
func FuzzParameter(f *testing.F) {
	for _, seed := range []string{"", "id=a", "ID=a&iD=b", "i%64=a%20b+c", "id", "id=&id", "id=a;b", "x;id=a", "id=%zz&id=b", "%zz=1&id=1", "a=b&&id==c", "+id=a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		value, n := httpreq.Parameter(&http.Request{URL: &url.URL{RawQuery: query}}, "id")
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
	value, n := httpreq.Parameter(r, "id")
	if want := strings.TrimSuffix(strings.Repeat("a,", times), ","); n != times || value != want {
		t.Errorf("%d values of %d bytes", n, len(value))
	}
	if allocations := testing.AllocsPerRun(3, func() { httpreq.Parameter(r, "id") }); allocations > 100 {
		t.Errorf("%.0f allocations for %d values", allocations, times)
	}
}

// A query keeps its other parameters as they are.
func TestLeaveOut(t *testing.T) {
	for query, want := range map[string]string{
		"":                                  "",
		"id=1":                              "",
		"a=1&ID=2&&b=%20&access%5Ftoken=x&": "a=1&b=%20",
		"idx=1&%zz=2&c":                     "idx=1&%zz=2&c",
	} {
		if got := httpreq.LeaveOut(query, httpreq.IsSecret); got != want {
			t.Errorf("%q became %q, want %q", query, got, want)
		}
	}
}
