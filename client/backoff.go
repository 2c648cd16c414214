package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// settledAfter is how long a connection, or a carrier of a stateful one, has to last before its end
	// counts as a first loss. One that breaks earlier counts as another failed attempt.
	settledAfter = 5 * time.Second
	// resumeWindow is how long a broken carrier is replaced before the connection counts as lost: for
	// so long servers wait.
	resumeWindow = 15 * time.Second
	// resumePause is the first pause between two carriers. It doubles up to mostResumePause, or up to
	// mostBusyPause while messages get through.
	resumePause    = 50 * time.Millisecond
	maxResumePause = 2 * time.Second
	maxBusyPause   = 200 * time.Millisecond
	// minCarrierLife is how long a carrier has to last if no message gets through on it.
	minCarrierLife = time.Second
	// maxRetryAfter bounds the time for which a server can put a client off by Retry-After.
	maxRetryAfter = 5 * time.Minute
)

// breaks decides how long to wait before a carrier that broke is replaced, and when to give up. It
// is not safe for concurrent use.
type breaks struct {
	began   time.Time     // of the last carrier
	pause   time.Duration // before the next one
	reached progress      // at the last break
	stalled time.Time     // the first break since the last progress; zero: there is none
}

// add notes a break and sets the pause that follows it: none after a carrier that lasted. waiting says
// that messages wait for an acknowledgement, halfway that a part of one was received. The error says
// that carriers have broken for resumeWindow and nothing got through.
func (b *breaks) add(reached progress, waiting, halfway bool) error {
	life := time.Since(b.began)
	moved := reached != b.reached
	b.reached = reached
	switch {
	case life >= settledAfter:
		b.pause = 0
	case moved:
		b.pause = min(max(2*b.pause, resumePause), maxBusyPause)
	default:
		b.next()
	}
	isStalled := halfway || life < minCarrierLife || waiting && life < settledAfter
	switch {
	case moved || !isStalled:
		b.stalled = time.Time{}
	case b.stalled.IsZero():
		b.stalled = time.Now()
	case time.Since(b.stalled) >= resumeWindow:
		return fmt.Errorf("client: for %v each connection broke before a message got through", time.Since(b.stalled).Round(time.Second))
	}
	return nil
}

// next lengthens the pause and returns it.
func (b *breaks) next() time.Duration {
	b.pause = min(max(2*b.pause, resumePause), maxResumePause)
	return b.pause
}

// jitter returns anything between half of d and d, so that clients do not come back in one instant.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// sleep waits for d. It returns the cause of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter returns how long the server that answered err wants to be left alone, at most
// mostRetryAfter.
func retryAfter(err error) time.Duration {
	answer := new(HTTPError)
	if !errors.As(err, &answer) {
		return 0
	}
	return min(answer.RetryAfter, maxRetryAfter)
}

// parseRetryAfter reads the header Retry-After: seconds, or a date.
func parseRetryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// isBusy reports whether a server or proxy has answered that the client should come back later: by
// 429, or by 503 with Retry-After.
func isBusy(err error) bool {
	answer := new(HTTPError)
	return errors.As(err, &answer) && (answer.StatusCode == http.StatusTooManyRequests ||
		answer.StatusCode == http.StatusServiceUnavailable && answer.RetryAfter > 0)
}
