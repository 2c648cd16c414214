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
	// settledAfter is the time that a connection, or a carrier of a stateful connection, must last
	// so that its loss counts as a first one. If it breaks earlier, that counts as one more failed
	// attempt.
	settledAfter = 5 * time.Second
	// resumeWindow is the time in which a broken carrier must be replaced; then the connection is
	// lost. Servers wait that long.
	resumeWindow = 15 * time.Second
	// resumePause is the first pause between two carriers. It doubles up to maxResumePause, or up
	// to maxBusyPause while messages get through.
	resumePause    = 50 * time.Millisecond
	maxResumePause = 2 * time.Second
	maxBusyPause   = 200 * time.Millisecond
	// minCarrierLife is the time that a carrier must last if no message gets through on it.
	minCarrierLife = time.Second
	// maxRetryAfter is the longest delay that the client accepts in Retry-After.
	maxRetryAfter = 5 * time.Minute
)

// breaks decides about the pause before a broken carrier is replaced, and when to give up. It is
// not safe for concurrent use.
type breaks struct {
	began   time.Time     // start of the last carrier
	pause   time.Duration // before the next carrier
	reached progress      // at the last break
	stalled time.Time     // the first break since the last progress; zero: none
}

// add records a break and sets the pause after it. There is no pause after a carrier that lasted
// for settledAfter. waiting is set if messages wait for an acknowledgement, halfway if a part of a
// message was received. add fails if carriers have broken for resumeWindow and no message got
// through.
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

// jitter returns a random time between d/2 and d, so that clients do not reconnect all at once.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// sleep waits for d. It returns the cause of ctx if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return await(ctx, timer.C)
}

// await waits for a value of ch, or its end. It returns the cause of ctx if ctx ends first.
func await[T any](ctx context.Context, ch <-chan T) error {
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter returns the delay that the server asked for with err, at most maxRetryAfter.
func retryAfter(err error) time.Duration {
	if answer, ok := errors.AsType[*HTTPError](err); ok {
		return min(answer.RetryAfter, maxRetryAfter)
	}
	return 0
}

// parseRetryAfter parses the header Retry-After: seconds or a date.
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

// isBusy reports whether a server or proxy has asked the client to come back later: with 429, or
// with 503 and Retry-After.
func isBusy(err error) bool {
	status := statusOf(err)
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable && retryAfter(err) > 0
}
