package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/limit"
)

const (
	dialTimeout = 5 * time.Second
	// idleTimeout is shorter than that of servers (gunicorn 2 s, Node 5 s), because a POST on a
	// connection that the server closes at that moment fails.
	idleTimeout = time.Second
	maxIdle     = 64
	maxHead     = 64 << 10

	maxAnswer = 16 << 20
	// smallAnswer is the size from which an answer takes one of maxLarge places, which bound the
	// memory of all answers, and is read at a rate that leaves time for other hubs.
	smallAnswer = 64 << 10
	maxLarge    = 4
	rate        = 64 << 20 // bytes in a second, of all large answers of a hub
	rateBurst   = time.Second
	piece       = 256 << 10
)

// newClient returns a client for one hub, so that the hubs share no connections. It follows no
// redirects, and it knows HTTP/1.1 only: a request that ends early ends its connection.
func newClient() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConnsPerHost:    maxIdle,
			MaxIdleConns:           maxIdle,
			MaxResponseHeaderBytes: maxHead,
			DisableCompression:     true,
			Protocols:              protocols,
		},
	}
}

var (
	errBusy     = errors.New("the backend has too many requests")
	errTooLarge = errors.New("the answer is too large")
)

// statusError is a status that is neither 200 nor 204.
type statusError struct {
	code   int
	reason string // the beginning of the body
}

func (e *statusError) Error() string {
	if e.reason == "" {
		return fmt.Sprintf("the backend answered with status %d", e.code)
	}
	return fmt.Sprintf("the backend answered with status %d: %s", e.code, e.reason)
}

// maxReason is the longest text of the backend in an error, in bytes.
const maxReason = 200

// take waits for one of the slots. free gives it back. It fails with errBusy when ctx ends before.
func (u *Upstream) take(ctx context.Context, slots chan struct{}) (free func(), err error) {
	select {
	case slots <- struct{}{}:
	default:
		u.waiting.Add(1)
		defer u.waiting.Add(-1)
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, errBusy
			}
			return nil, context.Cause(ctx)
		}
	}
	return func() { <-slots }, nil
}

// post sends a request and returns the answer, whose body is empty after 204. It fails with
// errTooLarge if the body has more than most bytes. If most is 0, the body does not matter and is
// left out. The errors contain no URL, because that may have secrets.
func (u *Upstream) post(ctx context.Context, to *url.URL, header http.Header, body []byte, most int) (*answer, error) {
	u.inFlight.Add(1)
	defer u.inFlight.Add(-1)
	request := (&http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: header, ContentLength: int64(len(body)),
		Body:    io.NopCloser(bytes.NewReader(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(ctx)
	response, err := u.client.Do(request)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
		read, err := u.read(ctx, response, most)
		return &answer{response.Header.Get("Content-Type"), read}, err
	case http.StatusNoContent:
		return &answer{}, nil
	}
	reason, _ := io.ReadAll(io.LimitReader(response.Body, maxReason)) // as much as there is
	return nil, &statusError{response.StatusCode, string(bytes.ToValidUTF8(reason, []byte("?")))}
}

// read returns the body of a response, see post.
func (u *Upstream) read(ctx context.Context, r *http.Response, most int) ([]byte, error) {
	if most == 0 {
		_, _ = io.CopyN(io.Discard, r.Body, smallAnswer) // the connection of a body that ends is used again
		return nil, nil
	}
	if r.ContentLength > int64(most) {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(min(most, smallAnswer))+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > most:
		return nil, errTooLarge
	case len(body) <= smallAnswer:
		return body, nil
	}
	free, err := u.take(ctx, u.large)
	if err != nil {
		return nil, err
	}
	defer free()
	whole := bytes.NewBuffer(body)
	if r.ContentLength > 0 {
		whole.Grow(int(r.ContentLength) - len(body) + bytes.MinRead)
	}
	for {
		if err := u.pace.wait(ctx); err != nil {
			return nil, err
		}
		switch n, err := whole.ReadFrom(io.LimitReader(r.Body, piece)); {
		case err != nil:
			return nil, err
		case whole.Len() > most:
			return nil, errTooLarge
		case n < piece:
			return whole.Bytes(), nil
		}
	}
}

// pace limits the rate at which large answers are read. Safe for concurrent use.
type pace struct {
	begun  time.Time
	mu     sync.Mutex
	budget limit.Budget
}

// wait waits until another piece may be read.
func (p *pace) wait(ctx context.Context) error {
	timer := time.NewTimer(p.spend())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *pace) spend() (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.begun)
	wait = p.budget.Wait(now, rateBurst)
	p.budget.Spend(now, piece*time.Second/rate)
	return wait
}

// result names the outcome of a request for metrics.
func result(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errBusy):
		return "busy"
	case errors.Is(err, errTooLarge):
		return "too_large"
	case errors.Is(err, errAnswer):
		return "invalid"
	case errors.As(err, new(*statusError)):
		return "status"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "timeout"
	case ctx.Err() != nil:
		return "canceled"
	}
	return "network"
}
