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

// maxFailedPolls is the number of consecutive polls that a proxy may answer instead of the server.
const maxFailedPolls = 10

// shortPoll is shorter than the time that a server waits before it answers a poll with nothing. The
// client pauses between empty answers that come sooner.
const shortPoll = time.Second

// longPolling is the long-polling transport: repeated requests that wait for data, and POSTs.
type longPolling struct {
	poster
	timeout time.Duration
	// refresh sends the server a fresh token when it requires one for a poll. nil: never.
	refresh func(context.Context) error
	// stateful is set if a lost response can be recovered by resuming.
	stateful       bool
	polled         chan struct{} // closed when no poll is running any longer
	connectionGone bool          // the server has forgotten the connection; valid after polled is closed
	buf            []byte
}

// openLongPolling does the first poll, which the server answers at once without data.
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
	failed, empty := 0, 0 // in a row
	for {
		began, fed := time.Now(), false
		ended, err := l.pollWithin(l.timeout, func(data []byte) error {
			fed = true
			return feed(data)
		})
		if empty++; fed || err != nil || time.Since(began) >= shortPoll {
			empty = 0
		}
		switch {
		case l.ctx.Err() != nil:
			return l.ended()
		case err == nil && ended:
			l.connectionGone = true
			return nil
		case err == nil:
			failed = 0
			if empty > 1 && sleep(l.ctx, min(time.Duration(empty-1)*100*time.Millisecond, shortPoll)) != nil {
				return l.ended()
			}
		case failed < maxFailedPolls && isGatewayError(err) && !l.stateful:
			if failed++; sleep(l.ctx, max(time.Duration(failed-1)*100*time.Millisecond, retryAfter(err))) != nil {
				return l.ended()
			}
		default:
			return err
		}
	}
}

// isGatewayError reports whether a proxy has answered a poll: it lost patience with a poll without
// data, limits requests, or the server behind it is restarting. The connection may still exist.
func isGatewayError(err error) bool {
	switch statusOf(err) {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pollWithin polls once. A poll without a response in time is cancelled; the next one replaces it
// at the server too.
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

// get polls. If the server requires a refresh, it refreshes and polls once more.
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
	// Each poll has a different URL, as in the JavaScript client: some caches respect nothing else.
	u := withQuery(l.target.url(), "_="+strconv.FormatInt(time.Now().UnixMilli(), 10))
	return l.network.do(ctx, l.target.cred, request{op: "poll", method: http.MethodGet, url: u.String(), once: true})
}

// read feeds the data of a poll's response. A response that breaks off is an error, because data is
// lost.
func (l *longPolling) read(response *http.Response, feed func([]byte) error) (ended bool, err error) {
	switch {
	case response.StatusCode == http.StatusNoContent:
		discard(response.Body)
		return true, nil
	case response.StatusCode != http.StatusOK:
		return false, failure("poll", response)
	case isOfType(response, "text/html"):
		response.Body.Close()
		return false, errors.New("client: poll: answered by a page, not by the hub")
	}
	defer response.Body.Close()
	if err := copyTo(feed, response.Body, l.buf); err != nil {
		return false, fmt.Errorf("client: poll: %w", err)
	}
	return false, nil
}

// Close cancels the poll, waits for its end, and sends a DELETE.
func (l *longPolling) Close(ctx context.Context) {
	l.cancel(nil)
	if await(ctx, l.polled) != nil || l.connectionGone {
		return
	}
	response, err := l.network.do(ctx, l.target.cred, request{op: "delete", method: http.MethodDelete, url: l.url, repeatable: true})
	if err == nil { // otherwise the server finds out by itself
		discard(response.Body)
	}
}
