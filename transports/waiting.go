package transports

import (
	"net/http"
	"time"
)

// LetWait prepares a request that is going to wait for its answer. It takes back the
// deadlines that the HTTP server and middleware set to the network: http.Server.WriteTimeout
// would cut the answer, and ReadTimeout would look as if the client had left. It returns when
// the wait has to end all the same, zero if it need not: in time for the deadline of the
// request's context, and for a time-out that a writer of middleware does not let be taken back.
func LetWait(w http.ResponseWriter, r *http.Request) (end time.Time) {
	control, now := http.NewResponseController(w), time.Now()
	writing, reading := control.SetWriteDeadline(time.Time{}), error(nil)
	if r.ProtoMajor == 1 { // HTTP/2 has none for a request without a body
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

// maxReserve is the most that is left of a deadline for writing the answer.
const maxReserve = time.Second

// serverOf returns the HTTP server of a request; nil: it is not known.
func serverOf(r *http.Request) *http.Server {
	s, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return s
}

// Limit bounds the time of what is written from now on to the send time-out. The HTTP server
// takes that back when the handler has returned.
func (c *Connection) Limit(control *http.ResponseController) {
	_ = control.SetWriteDeadline(time.Now().Add(c.registry.options.SendTimeout))
}

// letApplicationWait takes http.Server.WriteTimeout off a request for as long as the
// application may take, and returns a function that limits the answer.
func (c *Connection) letApplicationWait(w http.ResponseWriter, r *http.Request) (limit func()) {
	s := serverOf(r)
	if s == nil || s.WriteTimeout <= 0 {
		return func() {}
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	return func() { c.Limit(control) }
}
