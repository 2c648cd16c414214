package negotiate

import "github.com/carillon-go/carillon/transports"

// browserLimit is how many connections over HTTP/1.1 a browser opens to one host, in all its
// tabs. An event stream or a poll takes one of them for as long as it lasts. WebSockets have a
// limit of their own, and HTTP/2 needs one connection for all.
const browserLimit = 6

// opened counts a connection that is open from now on.
func (n *network) opened(kind transports.Type) {
	if kind != transports.WebSockets {
		n.requests++
	}
}

// ended counts a connection that is open no more.
func (n *network) ended(kind transports.Type) {
	if kind != transports.WebSockets {
		n.requests = max(0, n.requests-1)
	}
}

// crowded reports whether a browser may have no connection left for what it wants to post, so
// that it looks as if its event stream were held back. Where event streams are held back none
// has proved itself.
func (n *network) crowded() bool {
	return n.key.family.isBrowser() && n.eventStreams.living > 0 && n.requests >= browserLimit
}
