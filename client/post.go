package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// poster is the sending half of the transports that send by POST.
type poster struct {
	ctx         context.Context // of all requests; errAborted is its cause after Abort
	cancel      context.CancelCauseFunc
	network     *network
	target      target
	url         string
	contentType string
	timeout     time.Duration
}

// newPoster returns a poster with requests that may outlive opening.
func newPoster(opening context.Context, n *network, t target, o Options) poster {
	p := poster{network: n, target: t, url: t.url().String(), contentType: "text/plain;charset=UTF-8", timeout: o.RequestTimeout}
	if o.Protocol.Binary() {
		p.contentType = "application/octet-stream"
	}
	p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(opening))
	return p
}

var errAborted = errors.New("client: the requests were aborted")

// Abort implements carrier.
func (p *poster) Abort() { p.cancel(errAborted) }

// ended returns the result of Receive after ctx has ended: nil after Close.
func (p *poster) ended() error {
	if err := context.Cause(p.ctx); errors.Is(err, errAborted) {
		return err
	}
	return nil
}

// Send posts records. A failed POST may or may not have arrived, so no later one can follow it in
// order: the connection ends.
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
