package transports

import "time"

// Meter receives the openings and ends of transports. A connection that is only negotiated
// does not count. It is called concurrently, must return at once, and must not call back.
type Meter interface {
	// Opened is called when a connection has chosen its transport. A break or a resumption of
	// that transport is neither an opening nor an end.
	Opened(kind Type)
	// Ended is called when an opened connection has ended. after is the time since the
	// opening. cause is ErrTimeout, ErrShutdown, the application's own error, and so on.
	Ended(kind Type, after time.Duration, cause error)
}

// noMeter is the default Meter. It does nothing.
type noMeter struct{}

func (noMeter) Opened(Type)                      {}
func (noMeter) Ended(Type, time.Duration, error) {}
