package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// longPolling receives by one poll after the other.
type longPolling struct {
	*session
}

// connect makes the first poll. The server answers it at once, with an empty body.
func (p *longPolling) connect() error {
	ctx, cancel := context.WithTimeout(p.ctx, answerPatience)
	defer cancel()
	_, err := p.poll(ctx)
	return err
}

func (p *longPolling) poll(ctx context.Context) (body []byte, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r, err := p.x.request(onceOnly(ctx, end), http.MethodGet, p.n.address(), p.n.token, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if errors.Is(context.Cause(ctx), errCut) {
			err = errCut
		}
	}()
	response, err := p.x.client.Do(r)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		p.x.noteAnswer(response, body)
		if response.StatusCode == http.StatusNoContent {
			return nil, errors.New("the server ended the connection")
		}
		return nil, &statusError{response.StatusCode}
	}
	return body, nil
}

var errCut = errors.New("the connection of the poll was cut")

// onceOnly prevents net/http from repeating a poll whose connection is cut during the
// wait. A connection that breaks at once had been closed earlier: there a retry is right.
func onceOnly(ctx context.Context, end context.CancelCauseFunc) context.Context {
	const atOnce = time.Second
	var first atomic.Int64 // when it got its first connection
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			now := time.Now()
			if !first.CompareAndSwap(0, now.UnixNano()) && now.Sub(time.Unix(0, first.Load())) > atOnce {
				end(errCut)
			}
		},
	})
}

// pollError is the end of long polling: how long the last poll had been silent.
type pollError struct {
	error
	silence time.Duration
}

func (e *pollError) Unwrap() error { return e.error }

// statusError is a poll's answer that does not come from the hub.
type statusError struct{ status int }

func (e *statusError) Error() string {
	return fmt.Sprintf("the poll was answered with status %d", e.status)
}

func (p *longPolling) send(text string) error { return p.x.post(p.session, text) }

func (p *longPolling) receive(arrived func([]byte)) error {
	for {
		began := time.Now()
		body, err := p.poll(p.ctx)
		if err != nil {
			return &pollError{err, time.Since(began)}
		}
		arrived(body)
	}
}

// close ends the connection on the server, which would otherwise wait for the next poll.
func (p *longPolling) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), time.Second)
	defer cancel()
	r, err := p.x.request(ctx, http.MethodDelete, p.n.address(), p.n.token, nil)
	if err != nil {
		return
	}
	if response, err := p.x.client.Do(r); err == nil {
		_ = response.Body.Close()
	}
}
