// Package authlog logs refused authentication to slog.Default(). The middleware of package
// auth has no logger of its own.
package authlog

import (
	"log/slog"
	"net"
	"net/http"

	"github.com/carillon-go/carillon/internal/floodgate"
)

// burst is the number of lines about one reason that are written at once. See package
// floodgate.
const burst = 100

// maxUser is the longest id of a user that a line shows, in bytes.
const maxUser = 256

var gate = floodgate.New(nil)

// Refused logs that a request was refused. user is "" if it is not known. Refused does not log
// the URL, which may contain a token. Safe for concurrent use.
func Refused(r *http.Request, user, reason string) {
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "authentication refused", Key: "reason", Value: reason, Burst: burst}
	gate.Log(k, func() []slog.Attr {
		address := r.RemoteAddr
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
		return []slog.Attr{slog.String("address", address), slog.String("user", floodgate.Clip(user, maxUser))}
	})
}

// Flush logs how many lines were left out and not reported. A program calls it before it ends.
func Flush() { gate.Flush() }
