package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// poster is the sending half of the transports that have no way up of their own.
type poster struct {
	ctx         context.Context // of all requests; errAborted is its cause when they were cut
	cancel      context.CancelCauseFunc
	network     *network
	target      target
	url         string
	contentType string
	timeout     time.Duration
}

// newPoster makes a poster whose requests may go on when the opening is over.
func newPoster(opening context.Context, n *network, t target, o Options) poster {
	p := poster{network: n, target: t, url: t.url().String(), contentType: "text/plain;charset=UTF-8", timeout: o.RequestTimeout}
	if o.Protocol.Binary() {
		p.contentType = "application/octet-stream"
	}
	p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(opening))
	return p
}

var errAborted = errors.New("client: the requests were cut")

// Abort implements carrier.
func (p *poster) Abort() { p.cancel(errAborted) }

// ended is what Receive returns when ctx has ended: nil after Close.
func (p *poster) ended() error {
	if err := context.Cause(p.ctx); errors.Is(err, errAborted) {
		return err
	}
	return nil
}

// Send posts. A POST that failed may have arrived or not, so that nothing can follow it in order:
// the connection is over.
func (p *poster) Send(ctx context.Context, records []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
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
