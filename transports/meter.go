package transports

import "time"

// Meter is told of the connections that open a transport; one that is only negotiated is
// none. It is called concurrently, must return at once and not call back.
type Meter interface {
	// Opened: a connection chose its transport. What it does when that breaks is no
	// opening and no end.
	Opened(kind Type)
	// Ended: it is gone, so long after it was opened, for a cause: ErrTimeout, ErrShutdown,
	// what the application closed it with, and so on.
	Ended(kind Type, after time.Duration, cause error)
}

// noMeter is the default.
type noMeter struct{}

func (noMeter) Opened(Type)                      {}
func (noMeter) Ended(Type, time.Duration, error) {}
