package client

import (
	"context"
	"net/http"
	"time"
)

// poster is the sending half of the transports that have no way up of their own.
type poster struct {
	network     *network
	target      target
	url         string
	contentType string
	timeout     time.Duration
}

func newPoster(n *network, t target, o Options) poster {
	p := poster{network: n, target: t, url: t.url().String(), contentType: "text/plain;charset=UTF-8", timeout: o.RequestTimeout}
	if o.Protocol.Binary() {
		p.contentType = "application/octet-stream"
	}
	return p
}

// Send posts. A POST that failed may have arrived or not, so that nothing can follow it in order:
// the connection is over.
func (p *poster) Send(ctx context.Context, records []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	response, err := p.network.do(ctx, p.target.cred, request{op: "send", method: http.MethodPost, url: p.url, body: records, contentType: p.contentType})
	if err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return failure("send", response)
	}
	discard(response.Body)
	return nil
}
