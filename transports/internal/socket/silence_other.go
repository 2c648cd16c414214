//go:build !linux

package socket

import "time"

// Silence is how long nothing has moved on the connection, which may be over, in either
// direction. ok is false where that is not known, as here.
func (s *Socket) Silence() (d time.Duration, ok bool) { return 0, false }
