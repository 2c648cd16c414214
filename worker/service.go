// Package worker runs background services: application code that no request starts, such
// as the clock that sends the time to every client each second.
package worker

import "context"

// Service is a background service.
//
// Run works until ctx is cancelled. It returns after everything that it started has
// ended. An error, a panic or a call of runtime.Goexit before that is a
// failure, and the Host calls Run again; nil
// means that the work is done, and Run is not called again.
type Service interface {
	Run(ctx context.Context) error
}

// Func is a function that is a Service.
type Func func(ctx context.Context) error

// Run calls f.
func (f Func) Run(ctx context.Context) error { return f(ctx) }
