package middlebox

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// Each box passes a plain request on. What it does to the rest is what the tests
// of the transports see.
func TestBoxesPassRequests(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "seen "+r.URL.Path)
	}))
	defer origin.Close()
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			box := kind.Start(t, origin.Listener.Addr().String())
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: Roots(t)}}
			defer transport.CloseIdleConnections()
			if box.Proxy != "" {
				proxy, err := url.Parse(box.Proxy)
				if err != nil {
					t.Fatal(err)
				}
				transport.Proxy = http.ProxyURL(proxy)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, box.URL+"/hub", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := (&http.Client{Transport: transport}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || string(body) != "seen /hub" {
				t.Fatalf("%d %q, %v", response.StatusCode, body, err)
			}
		})
	}
}
