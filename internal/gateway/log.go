package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/httpreq"
)

// requestBurst is the number of request lines of one status that are written at once. See
// package floodgate.
const requestBurst = 100

// logRequests logs each request at its end. The traffic of transports, with a request per
// poll and per message, negotiations and probes are logged at the debug level. Server errors
// are always logged as errors. Lines above the debug level pass gate.
func logRequests(log *slog.Logger, gate *floodgate.Gate, isTraffic func(*http.Request) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			l := requestLine{began: time.Now()}
			if r := c.Request(); namesConnection(log, r) {
				c.SetRequest(r.WithContext(connection.WithName(r.Context(), &l.connection)))
			}
			if err := next(c); err != nil {
				c.Error(err) // writes the answer; its status is logged
			}
			r, status := c.Request(), statusOf(c)
			k := floodgate.Kind{
				Level: requestLevel(r, status, isTraffic(r)), Event: "request",
				Key: "status", Value: status, Burst: requestBurst,
			}
			if k.Level > slog.LevelDebug {
				gate.Log(k, func() []slog.Attr { return l.attributes(c) })
			} else if ctx := context.WithoutCancel(r.Context()); log.Enabled(ctx, k.Level) {
				log.LogAttrs(ctx, k.Level, "request", append(l.attributes(c), slog.Int("status", status))...)
			}
			return nil
		}
	}
}

// requestLine is the log line of a request.
type requestLine struct {
	began      time.Time
	connection string // the name of the request's connection; "": none is known
}

func (l *requestLine) attributes(c echo.Context) []slog.Attr {
	r := c.Request()
	about := append(make([]slog.Attr, 0, 8),
		slog.String("method", floodgate.Clip(r.Method, maxMethod)),
		slog.String("uri", redactedURI(r.URL)),
		slog.Float64("duration_s", time.Since(l.began).Seconds()),
		slog.String("address", c.RealIP()),
	)
	if l.connection != "" {
		about = append(about, slog.String("connection_id", l.connection))
	}
	if statusOf(c) == http.StatusUnauthorized {
		about = append(about, slog.String("reason", refusalReason(c.Response().Header())))
	}
	return about
}

// namesConnection reports whether the line of a request may need the name of its connection.
// Above the debug level, POSTs do not: messages must not cost more because of the log.
func namesConnection(log *slog.Logger, r *http.Request) bool {
	ctx := context.Background()
	return log.Enabled(ctx, slog.LevelDebug) || r.Method != http.MethodPost && log.Enabled(ctx, slog.LevelInfo)
}

// refusalReason returns why a request was answered 401. It quotes the challenge of the
// answer, which contains nothing of the token.
func refusalReason(answer http.Header) string {
	_, rest, found := strings.Cut(answer.Get("WWW-Authenticate"), `error_description="`)
	if !found {
		return "no token"
	}
	reason, _, _ := strings.Cut(rest, `"`)
	return reason
}

// requestLevel returns the level of a request's line. Refusals of the limits and of
// authentication have lines of their own.
func requestLevel(r *http.Request, status int, traffic bool) slog.Level {
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		return slog.LevelError
	case r.Method == http.MethodHead, isProbe(r.URL.Path), traffic && status < http.StatusBadRequest,
		status == http.StatusTooManyRequests, status == http.StatusUnauthorized:
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

// statusOf returns the status of the answer. The answer on a hijacked connection bypasses the
// response writer: a WebSocket's is 101.
func statusOf(c echo.Context) int {
	if !c.Response().Committed && fold.Equal(c.Request().Header.Get("Upgrade"), "websocket") {
		return http.StatusSwitchingProtocols
	}
	return c.Response().Status
}

// tokenLike matches texts as long as the shortest token. They are redacted too, because in a
// garbled query a token's parameter may have another name.
var tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{22,}`)

// The longest method and URI that the log shows, in bytes. A stranger chooses the length.
const (
	maxMethod = 32
	maxURI    = 1 << 10
)

// redactedURI returns u for the log, without the values of secret parameters, and without
// texts that look like tokens in the others and in the path.
func redactedURI(u *url.URL) string {
	uri := redactedPath(u.Path)
	if u.RawQuery != "" {
		uri += "?" + redactedQuery(u.RawQuery)
	}
	return floodgate.Clip(uri, maxURI)
}

// redactedPath returns a path without texts that look like tokens. In a garbled URL the path
// can contain the query, for example after %3F. Lower-case names without digits stay, because
// every token has a capital letter or a digit.
func redactedPath(path string) string {
	return tokenLike.ReplaceAllStringFunc(path, func(text string) string {
		if strings.ToLower(text) == text && !strings.ContainsAny(text, "0123456789") {
			return text
		}
		return "***"
	})
}

func redactedQuery(query string) string {
	pairs := strings.FieldsFunc(query, func(c rune) bool { return c == '&' || c == ';' })
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if isSecret(name) {
			pairs[i] = name + "=***"
		} else {
			pairs[i] = tokenLike.ReplaceAllLiteralString(pair, "***")
		}
	}
	return strings.Join(pairs, "&")
}

// isSecret reports whether a parameter's value is a secret. It is, if the name cannot be
// unescaped.
func isSecret(name string) bool {
	name, err := url.QueryUnescape(name)
	return err != nil || httpreq.IsSecret(name)
}

// errorLog is the destination of net/http's own log. Clients can provoke most of its lines,
// for example by a TLS handshake that fails.
type errorLog struct{ gate *floodgate.Gate }

// Write logs a line.
func (l errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "http server error", Burst: requestBurst}
	if strings.HasPrefix(text, "http: TLS handshake error") {
		k.Key, k.Value = "kind", "TLS handshake"
	}
	l.gate.Log(k, func() []slog.Attr { return []slog.Attr{slog.String("error", text)} })
	return len(line), nil
}
