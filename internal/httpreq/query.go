package httpreq

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

// Parameter returns the values of a query parameter and their number. The name ignores case.
// Several values are joined by commas, as in ASP.NET Core. It parses the query like
// url.ParseQuery, but without making a map.
func Parameter(r *http.Request, name string) (value string, n int) {
	var joined strings.Builder // a URL can repeat a parameter thousands of times
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, v, _ := strings.Cut(pair, "=")
		if !fold.Equal(key, name) && !strings.ContainsAny(key, "%+") || strings.Contains(pair, ";") {
			continue
		}
		key, err := url.QueryUnescape(key)
		if err != nil || !fold.Equal(key, name) {
			continue
		}
		if v, err = url.QueryUnescape(v); err != nil {
			continue
		}
		switch n++; n {
		case 1:
			value = v
			continue
		case 2:
			joined.WriteString(value)
		}
		joined.WriteByte(',')
		joined.WriteString(v)
	}
	if n > 1 {
		value = joined.String()
	}
	return value, n
}

// IsSecret reports whether a parameter of a query gives access: it is the token of a connection, or the
// bearer token of browsers, which cannot send it in a header.
func IsSecret(name string) bool { return fold.Equal(name, "id") || fold.Equal(name, "access_token") }

// LeaveOut returns an encoded query without the parameters that drop selects by name, and without
// empty ones. The rest stays as it is.
func LeaveOut(query string, drop func(name string) bool) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if pair != "" && !drop(name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
