package negotiate

import "github.com/carillon-go/carillon/transports"

// browserLimit is the number of HTTP/1.1 connections that a browser opens to one host, in all
// its tabs together. Each open event stream or poll takes one of them. WebSockets have a
// separate limit, and HTTP/2 needs one connection for everything.
const browserLimit = 6

// opened counts a connection that has opened.
func (n *network) opened(kind transports.Type) {
	if kind != transports.WebSockets {
		n.requests++
	}
}

// ended removes a closed connection from the count.
func (n *network) ended(kind transports.Type) {
	if kind != transports.WebSockets {
		n.requests = max(0, n.requests-1)
	}
}

// crowded reports whether a browser may have no connection left for its POSTs, which looks
// like an event stream that a proxy buffers. It requires that an event stream has worked:
// where a proxy buffers event streams, none has. In a cluster that is enough, because the
// browser may have its other connections to other processes.
func (e *Evidence) crowded(n *network) bool {
	return n.key.family.isBrowser() && n.eventStreams.living > 0 && (e.shared || n.requests >= browserLimit)
}
