package testproc

import (
	"bytes"
	"sync"
)

// Output keeps the end of a process's output. The zero value is ready for use; it is safe
// for concurrent use.
type Output struct {
	mu      sync.Mutex
	text    []byte
	awaited []byte
	seen    chan struct{}
}

// outputLimit bounds the kept output, in bytes: enough for a failed test's message.
const outputLimit = 16 << 10

// await returns a channel that is closed when a text has appeared.
func (o *Output) await(text string) <-chan struct{} {
	o.awaited, o.seen = []byte(text), make(chan struct{})
	return o.seen
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if o.awaited != nil && bytes.Contains(o.text, o.awaited) {
		o.awaited = nil
		close(o.seen)
	}
	if extra := len(o.text) - outputLimit; extra > 0 {
		o.text = o.text[extra:]
	}
	return len(p), nil
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
