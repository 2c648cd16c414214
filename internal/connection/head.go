package connection

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// errHeads means that all connections together keep as many bytes of request heads as they
// may.
var errHeads = errors.New("transports: the connections keep as much of their requests as they may")

// maxHeadLines is the limit of the header lines of a request, as in ASP.NET Core's server.
// Each line takes memory in addition to its text while the request is served.
const maxHeadLines = 100

// RefuseLongHead answers 431 to a request whose head has more than Options.MaxHeadBytes or
// more than 100 lines, and reports whether it did. It must be called before any part of the
// request is kept. The limits of the HTTP server may be higher.
func (r *Registry) RefuseLongHead(w http.ResponseWriter, request *http.Request) bool {
	size, lines := headSize(request)
	if size <= r.options.MaxHeadBytes && lines <= maxHeadLines {
		return false
	}
	_ = r.refuse(&r.refused.heads, "head of a request", nil)
	if request.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	w.Header()["Content-Length"] = noLength
	w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
	return true
}

// headSize returns the number of header lines of a request, and an upper limit of the bytes
// that pack writes for its head. It allocates nothing.
func headSize(r *http.Request) (size, lines int) {
	const around = len("  \r\nHost: \r\n\r\n")
	const escaped = 3 // longest escape of a byte of the path
	size = around + len(r.Method) + escaped*len(r.URL.Path) + len(r.URL.Opaque) + len(r.URL.RawQuery) + len("?") + len(r.Proto) + len(r.Host)
	for name, values := range r.Header {
		lines += len(values)
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size, lines
}

// heads counts the bytes that all connections keep of the requests that opened them. It needs
// no lock.
type heads struct {
	kept  atomic.Int64
	limit int64 // not positive: none
}

// keep returns a request in the form that the connection keeps. It fails with errHeads if all
// connections together have no room for it.
func (h *heads) keep(opening *http.Request) (*request, error) {
	p := pack(opening)
	if sum := h.kept.Add(p.size()); h.limit > 0 && sum > h.limit {
		h.forgo(p)
		return nil, errHeads
	}
	return p, nil
}

// forgo subtracts the bytes that keep counted. p may be nil.
func (h *heads) forgo(p *request) { h.kept.Add(-p.size()) }

// HeadBytes returns the number of bytes that all connections keep of the requests that opened
// them.
func (h *heads) HeadBytes() int { return int(h.kept.Load()) }
