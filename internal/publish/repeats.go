package publish

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A repetition of a request that has the same Idempotency-Key within repeatWindow is not done
// again. Of maxRepeats requests the answers are kept, at 0.4 KiB each; when there are more, the oldest is forgotten.
const (
	repeatWindow = 5 * time.Minute
	maxRepeats   = 100_000
	maxKeyLength = 256
)

// repeats are the requests of this process that had an Idempotency-Key. The zero value is ready
// for use.
type repeats struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*attempt
	queue []*attempt // the oldest first
}

// attempt is a request that is being done, or has been done.
type attempt struct {
	key, content [sha256.Size]byte
	began        time.Time
	done         chan struct{}
	// answered is set before done is closed, unless the request failed at the server's side: then it may
	// be done again.
	answered bool
	err      error
}

var errOtherContent = &failure{
	status: http.StatusUnprocessableEntity, code: codeKeyReused, target: "Idempotency-Key",
	message: "the Idempotency-Key belongs to another request",
}

// once calls do, unless the request repeats one that has been done: then it returns the same answer.
// A repetition waits for a request that is being done.
func (c *call) once(do func() (answer, error)) (answer, error) {
	key, err := c.idempotencyKey()
	switch {
	case err != nil:
		return done, err
	case key == "" || !c.route.once:
		return do()
	}
	id, content := c.digests(key)
	for {
		a, first := c.repeat.begin(id, content, time.Now())
		switch {
		case a.content != content:
			return done, errOtherContent
		case first:
			return done, c.repeat.attempt(a, do)
		}
		select {
		case <-a.done:
			if a.answered {
				return done, a.err
			}
		case <-c.request.Context().Done():
			return done, context.Cause(c.request.Context())
		}
	}
}

// attempt makes an attempt, and ends it even if do panics.
func (r *repeats) attempt(a *attempt, do func() (answer, error)) error {
	defer r.end(a)
	_, a.err = do()
	f := new(failure)
	a.answered = a.err == nil || errors.As(a.err, &f) && f.status < http.StatusInternalServerError
	return a.err
}

// idempotencyKey returns the key of a request, or "".
func (c *call) idempotencyKey() (string, error) {
	keys := slices.Concat(c.request.Header["Idempotency-Key"], c.request.Header["X-Idempotency-Key"])
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKeyLength:
		return "", invalid("Idempotency-Key", "a request has one Idempotency-Key of 1 to 256 bytes")
	case c.route.waits:
		return "", invalid("Idempotency-Key", "an invocation is not repeated by key: its result is not kept")
	}
	return keys[0], nil
}

// digests returns the digest of a key of a hub, and that of a request.
func (c *call) digests(key string) (id, content [sha256.Size]byte) {
	id = sha256.Sum256(append(append([]byte(c.hub.Name), 0), key...))
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(c.request.Method), []byte(c.request.URL.EscapedPath()), []byte(c.request.URL.RawQuery), []byte(c.request.Header.Get("Content-Type")), c.body} {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(part)))
		hash.Write(part)
	}
	hash.Sum(content[:0])
	return id, content
}

// begin returns the attempt with a key. It reports whether it is the caller's, who must end it.
func (r *repeats) begin(key, content [sha256.Size]byte, now time.Time) (a *attempt, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 && now.Sub(r.queue[0].began) > repeatWindow {
		r.forgetOldestLocked()
	}
	if a = r.byKey[key]; a != nil {
		return a, false
	}
	if len(r.queue) >= maxRepeats {
		r.forgetOldestLocked()
	}
	if r.byKey == nil {
		r.byKey = make(map[[sha256.Size]byte]*attempt)
	}
	a = &attempt{key: key, content: content, began: now, done: make(chan struct{})}
	r.byKey[key] = a
	r.queue = append(r.queue, a)
	return a, true
}

func (r *repeats) forgetOldestLocked() {
	a := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	if r.byKey[a.key] == a {
		delete(r.byKey, a.key)
	}
}

// end ends an attempt. One without an answer is forgotten, so that it may be done again.
func (r *repeats) end(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !a.answered && r.byKey[a.key] == a {
		delete(r.byKey, a.key)
	}
	close(a.done)
}
