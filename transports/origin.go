package transports

import (
	"fmt"
	"net/url"
	"strings"
)

// CheckOrigin returns an error if an entry of Options.AllowedOrigins is not a web origin such
// as https://app.example, not one with *. before its host, and not *.
func CheckOrigin(entry string) error {
	if entry == "*" {
		return nil
	}
	plain := strings.Replace(entry, "://*.", "://", 1)
	u, err := url.Parse(plain)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.Contains(u.Host, "*") || plain != u.Scheme+"://"+u.Host {
		return fmt.Errorf("%q is no origin; write it as https://example.com, or https://*.example.com for its subdomains", entry)
	}
	return nil
}
