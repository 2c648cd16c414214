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

// maxText is the longest text of a line that a client or an application may have chosen, in
// bytes.
const maxText = 256

var gate = floodgate.New(nil)

// Refused logs that a request was refused. user is "" if it is not known, and err is nil if the
// reason says all. Refused does not log the URL, which may contain a token. Safe for concurrent
// use.
func Refused(r *http.Request, user, reason string, err error) {
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "authentication refused", Key: "reason", Value: reason, Burst: burst}
	gate.Log(k, func() []slog.Attr {
		address := r.RemoteAddr
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
		attrs := []slog.Attr{slog.String("address", address), slog.String("user", floodgate.Clip(user, maxText))}
		if err != nil {
			attrs = append(attrs, slog.String("error", floodgate.Clip(err.Error(), maxText)))
		}
		return attrs
	})
}

// Flush logs how many lines were left out and not reported. A program calls it before it ends.
func Flush() { gate.Flush() }
