package transports_test

import (
	"testing"

	"github.com/carillon-go/carillon/transports"
)

func TestCheckOrigin(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]bool{
		"*": true, "https://a.example": true, "http://a.example:8080": true, "https://*.a.example": true, "http://*.localhost:8080": true,
		"app://-": true, "http://[::1]:80": true,
		"": false, "null": false, "a.example": false, "*.a.example": false, "https://": false, "https://*": false, "https://*.": false, "https://*.:80": false,
		"https://*a.example": false, "https://a.*.example": false, "https://*.*.example": false, "https://a.example/": false,
		"https://user@a.example": false, "https://a.example:*": false, "*://a.example": false, "https://*.a.example/*": false,
	} {
		if err := transports.CheckOrigin(entry); (err == nil) != want {
			t.Errorf("%q: %v", entry, err)
		}
	}
}
