package transports

import "errors"

// The causes with which a connection ends. Connection.Context returns them by context.Cause.
var (
	ErrClientGone  = errors.New("transports: the client ended the connection")
	ErrCut         = errors.New("transports: the connection was cut")
	ErrTimeout     = errors.New("transports: no request came within the disconnect time-out")
	ErrHeld        = errors.New("transports: nothing was posted within the hold time-out of an event stream")
	ErrSendTimeout = errors.New("transports: the client did not read within the send time-out")
	ErrShutdown    = errors.New("transports: the server shuts down")
	ErrQueueFull   = errors.New("transports: the client reads too slowly, its queue is full")
	ErrEnded       = errors.New("transports: the connection has ended")
	ErrDeadline    = errors.New("transports: the request that carried the connection had to end")
	ErrApplication = errors.New("transports: the application ended the connection")
)
