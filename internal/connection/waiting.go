package connection

import (
	"net/http"
	"time"
)

// LetWait prepares a request that will wait for its answer. It removes the network deadlines
// that the HTTP server and middleware have set: http.Server.WriteTimeout would cut the
// answer, and ReadTimeout would look like a disconnect of the client. It returns the time at
// which the wait must end, or zero if there is none. That time is shortly before the deadline
// of the request's context, and before a time-out that a middleware's writer does not let it
// remove.
func LetWait(w http.ResponseWriter, r *http.Request) (end time.Time) {
	control, now := http.NewResponseController(w), time.Now()
	writing, reading := control.SetWriteDeadline(time.Time{}), error(nil)
	if r.ProtoMajor == 1 { // HTTP/2 has no read deadline for a request without a body
		reading = control.SetReadDeadline(time.Time{})
	}
	left, limited := time.Duration(0), false
	limit := func(d time.Duration) {
		if !limited || d < left {
			left, limited = d, true
		}
	}
	if deadline, ok := r.Context().Deadline(); ok {
		limit(deadline.Sub(now))
	}
	if s := serverOf(r); s != nil {
		if writing != nil && s.WriteTimeout > 0 {
			limit(s.WriteTimeout)
		}
		if reading != nil && s.ReadTimeout > 0 {
			limit(s.ReadTimeout)
		}
	}
	if !limited {
		return time.Time{}
	}
	return now.Add(left - min(left/4, maxReserve))
}

// maxReserve is the longest part of a deadline that is left for writing the answer.
const maxReserve = time.Second

// serverOf returns the HTTP server of a request, or nil if it is unknown.
func serverOf(r *http.Request) *http.Server {
	s, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return s
}

// Limit sets the deadline of the following writes to the send time-out. The HTTP server
// removes the deadline after the handler has returned.
func (c *Connection) Limit(control *http.ResponseController) {
	_ = control.SetWriteDeadline(time.Now().Add(c.registry.options.SendTimeout))
}

// letApplicationWait removes http.Server.WriteTimeout from a request while the application
// handles it. It returns a function that limits the writing of the answer.
func (h *Handler) letApplicationWait(w http.ResponseWriter, r *http.Request) (limit func()) {
	s := serverOf(r)
	if s == nil || s.WriteTimeout <= 0 {
		return func() {}
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	return func() { _ = control.SetWriteDeadline(time.Now().Add(h.registry.options.SendTimeout)) }
}
