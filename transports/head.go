package transports

import (
	"errors"
	"net/http"
)

// errHeads is returned when all connections together keep as much of their requests as may be.
var errHeads = errors.New("transports: the connections keep as much of their requests as they may")

// maxHeadLines is the number of lines that the head of a request may have, as with the
// original's server. Each of them takes memory beside its text while the request is served.
const maxHeadLines = 100

// RefuseLongHead answers 431 to a request whose head has more than Options.MaxHeadBytes or
// more than 100 lines, and reports whether it did. It is called before anything of the
// request is kept, whatever the HTTP server has let through.
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

// headSize returns the number of bytes that the head of a request has at most when pack has
// written it, and the number of its header lines. It allocates nothing.
func headSize(r *http.Request) (size, lines int) {
	const around = len("  \r\nHost: \r\n\r\n")
	const escaped = 3 // bytes for one of the path
	size = around + len(r.Method) + escaped*len(r.URL.Path) + len(r.URL.Opaque) + len(r.URL.RawQuery) + len("?") + len(r.Proto) + len(r.Host)
	for name, values := range r.Header {
		lines += len(values)
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size, lines
}

// keep returns the request as the connection keeps it for its life. It fails with errHeads
// when all connections together have no room for it.
func (r *Registry) keep(opening *http.Request) (*request, error) {
	p := pack(opening)
	limit := int64(r.options.Limits.HeadBytes)
	if sum := r.kept.Add(p.size()); limit > 0 && sum > limit {
		r.forgo(p)
		return nil, r.refuse(&r.refused.heads, "bytes of heads", errHeads)
	}
	return p, nil
}

// forgo takes back what keep counted; p may be nil.
func (r *Registry) forgo(p *request) { r.kept.Add(-p.size()) }

// HeadBytes returns the number of bytes that all connections keep of the requests that opened
// them.
func (r *Registry) HeadBytes() int { return int(r.kept.Load()) }
