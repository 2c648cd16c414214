package gateway

import (
	"net/url"
	"testing"
)

func TestRedactedURI(t *testing.T) {
	for uri, want := range map[string]string{
		"/hub":                                  "/hub",
		"/hub?id=SECRET":                        "/hub?id=***",
		"/hub?ID=SECRET&_=1":                    "/hub?ID=***&_=1",
		"/hub?a=1&access_token=SECRET&id=":      "/hub?a=1&access_token=***&id=***",
		"/hub?i%64=SECRET":                      "/hub?i%64=***",
		"/hub?acc%zzess_token=SECRET":           "/hub?acc%zzess_token=***",
		"/hub?x=1;id=SECRET":                    "/hub?x=1&id=***",
		"/hub/negotiate?negotiateVersion=1&idx": "/hub/negotiate?negotiateVersion=1&idx",
	} {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := redactedURI(u); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}
