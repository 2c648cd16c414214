package gateway

import (
	"fmt"
	"io"
	"net"
)

// Announce makes the server print its URLs to w when it listens, for a person at a terminal. Call
// it before Run.
func (s *Server) Announce(w io.Writer) { s.banner = w }

// printBanner prints the URLs of a server that listens at an address.
func (s *Server) printBanner(listener net.Addr) {
	if s.banner == nil {
		return
	}
	row := func(name, text string) { fmt.Fprintf(s.banner, "  %-8s %s\n", name, text) }
	fmt.Fprintln(s.banner, "\nCarillon is ready.")
	if isUnix(listener) {
		row("socket", listener.String())
		row("hub", s.config.Path)
	} else {
		base := s.config.baseURL(listener)
		row("page", base+"/")
		row("hub", base+s.config.Path)
		row("diagnose", base+s.config.Path+"/diagnose")
	}
	if s.config.MetricsAddr != "" {
		row("metrics", "http://"+s.config.MetricsAddr+"/metrics")
	}
	if s.config.usesJWT() {
		row("tokens", "required; gateway token mint makes one")
	}
	fmt.Fprintln(s.banner, "Ctrl+C ends it and gives clients time to reconnect elsewhere; a second Ctrl+C ends it at once.")
	fmt.Fprintln(s.banner)
}

// baseURL returns the URL of a listener, for a browser on this machine.
func (c *Config) baseURL(listener net.Addr) string {
	scheme := "http"
	if c.usesTLS() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(listener.String())
	if err != nil {
		return scheme + "://" + listener.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	if len(c.Host) > 0 {
		host = c.Host[0]
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
