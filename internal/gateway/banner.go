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
		s.printHubs(row, "")
	} else {
		scheme := "http"
		if s.config.usesTLS() {
			scheme = "https"
		}
		base := urlOf(scheme, listener, s.config.Host)
		if s.config.servesClock() {
			row("page", base+"/")
		}
		s.printHubs(row, base)
	}
	if s.metricsAt != nil {
		row("metrics", urlOf("http", s.metricsAt, nil)+"/metrics")
	}
	if s.config.usesJWT() {
		row("tokens", "required; gateway token mint makes one")
	}
	fmt.Fprintln(s.banner, "Ctrl+C ends it and gives clients time to reconnect elsewhere; a second Ctrl+C ends it at once.")
	fmt.Fprintln(s.banner)
}

// maxShown is the number of hubs that a banner shows.
const maxShown = 20

// printHubs prints the hubs of a server with a URL, or of one at a Unix socket.
func (s *Server) printHubs(row func(name, text string), base string) {
	for i, st := range s.sites {
		h := &st.settings
		switch {
		case i == maxShown:
			row("hubs", fmt.Sprintf("and %d more", len(s.sites)-maxShown))
			return
		case s.config.admission(h) == "none":
			row("hub", base+"/client/?hub="+h.Name)
		default:
			row("hub", base+h.Path)
			if base != "" {
				row("diagnose", base+h.Path+"/diagnose")
			}
		}
	}
}

// urlOf returns the URL of a listener, for a browser on this machine. names are the host names that
// requests may use, or none.
func urlOf(scheme string, listener net.Addr, names []string) string {
	host, port, err := net.SplitHostPort(listener.String())
	if err != nil {
		return scheme + "://" + listener.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	if len(names) > 0 {
		host = names[0]
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
