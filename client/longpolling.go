package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxFailedPolls in a row that a proxy may answer instead of the server.
const maxFailedPolls = 10

// longPolling is the long-polling transport: a request that waits for data, again and again, and
// POSTs.
type longPolling struct {
	poster
	timeout time.Duration
	// refresh gives the server a fresh token when it requires that for a poll; nil: never.
	refresh func(context.Context) error
	// stateful: an answer that did not come may have been lost, and is brought back by resuming.
	stateful       bool
	polled         chan struct{} // closed when no poll is under way any more
	connectionGone bool          // the server has forgotten us; valid when polled is closed
	buf            []byte
}

// openLongPolling does the first poll, which the server answers at once, with nothing.
func openLongPolling(opening context.Context, n *network, t target, o Options, refresh func(context.Context) error) (carrier, error) {
	l := &longPolling{poster: newPoster(opening, n, t, o), timeout: o.PollTimeout, refresh: refresh, stateful: slices.Contains(t.stateful, LongPolling), polled: make(chan struct{}), buf: make([]byte, 8<<10)}
	if err := l.firstPoll(opening); err != nil {
		l.Abort()
		return nil, err
	}
	return l, nil
}

func (l *longPolling) firstPoll(ctx context.Context) error {
	response, err := l.get(ctx)
	if err != nil {
		return err
	}
	ended, err := l.read(response, func([]byte) error {
		return errors.New("data before the connection was opened")
	})
	if ended {
		return errors.New("client: poll: the server ended the connection at once")
	}
	return err
}

func (l *longPolling) Receive(feed func([]byte) error) error {
	defer close(l.polled)
	failed := 0
	for {
		ended, err := l.pollWithin(l.timeout, feed)
		switch {
		case l.ctx.Err() != nil:
			return l.ended()
		case err == nil && ended:
			l.connectionGone = true
			return nil
		case err == nil:
			failed = 0
		case failed < maxFailedPolls && isGatewayError(err) && !l.stateful:
			if failed++; sleep(l.ctx, max(time.Duration(failed-1)*100*time.Millisecond, retryAfter(err))) != nil {
				return l.ended()
			}
		default:
			return err
		}
	}
}

// isGatewayError: a proxy lost patience with a poll on which nothing came, or limits requests, or the
// server behind it is just being restarted; the connection may still be there.
func isGatewayError(err error) bool {
	answer := new(HTTPError)
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pollWithin polls once; a poll that is not answered in time is given up for the next one, which
// takes its place at the server too.
func (l *longPolling) pollWithin(limit time.Duration, feed func([]byte) error) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, limit)
	defer cancel()
	response, err := l.get(ctx)
	if errors.Is(err, context.DeadlineExceeded) && l.ctx.Err() == nil && !l.stateful {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return l.read(response, feed)
}

// get polls; once more behind a refresh, if the server requires one.
func (l *longPolling) get(ctx context.Context) (*http.Response, error) {
	response, err := l.getOnce(ctx)
	if err != nil || response.StatusCode != http.StatusConflict || l.refresh == nil {
		return response, err
	}
	if err := failure("poll", response); !refreshIsRequired(err) {
		return nil, err
	}
	if err := l.refresh(ctx); err != nil {
		return nil, err
	}
	return l.getOnce(ctx)
}

func (l *longPolling) getOnce(ctx context.Context) (*http.Response, error) {
	// A URL of its own each time, as the JavaScript client does: some caches heed nothing else.
	u := withQuery(l.target.url(), "_="+strconv.FormatInt(time.Now().UnixMilli(), 10))
	return l.network.do(ctx, l.target.cred, request{op: "poll", method: http.MethodGet, url: u.String(), once: true})
}

// read passes on what a poll brought. An answer that breaks off has lost data: an error.
func (l *longPolling) read(response *http.Response, feed func([]byte) error) (ended bool, err error) {
	switch {
	case response.StatusCode == http.StatusNoContent:
		discard(response.Body)
		return true, nil
	case response.StatusCode != http.StatusOK:
		return false, failure("poll", response)
	case isHTML(response.Header.Get("Content-Type")):
		response.Body.Close()
		return false, errors.New("client: poll: answered by a page, not by the hub")
	}
	defer response.Body.Close()
	if err := copyTo(feed, response.Body, l.buf); err != nil {
		return false, fmt.Errorf("client: poll: %w", err)
	}
	return false, nil
}

// Close drops the poll, waits for it, and tells the server.
func (l *longPolling) Close(ctx context.Context) {
	l.cancel(nil)
	select {
	case <-l.polled:
	case <-ctx.Done():
		return
	}
	if l.connectionGone {
		return
	}
	response, err := l.network.do(ctx, l.target.cred, request{op: "delete", method: http.MethodDelete, url: l.url, repeatable: true})
	if err == nil { // the server finds out by itself if not
		discard(response.Body)
	}
}
