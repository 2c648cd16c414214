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

	"github.com/carillon-go/carillon/internal/fold"
)

// secretParameters are query parameters that give access: the connection token, and the
// bearer token of browsers, which cannot send it in a header.
var secretParameters = []string{"access_token", "id"}

// logRequests logs each request at its end. The traffic of transports, with a request per
// poll and per message, is logged at the debug level. Server errors are always logged as
// errors.
func logRequests(log *slog.Logger, isTraffic func(*http.Request) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			began := time.Now()
			r := c.Request()
			err := next(c)
			if err != nil {
				c.Error(err) // writes the answer; its status is logged
			}
			status := statusOf(c)
			about := []slog.Attr{
				slog.String("method", r.Method),
				slog.String("uri", redactedURI(r.URL)),
				slog.Int("status", status),
				slog.Duration("duration", time.Since(began)),
				slog.String("remote", c.RealIP()),
			}
			if status == http.StatusUnauthorized {
				about = append(about, slog.String("reason", refusalReason(c.Response().Header())))
			}
			log.LogAttrs(context.WithoutCancel(r.Context()), requestLevel(status, isTraffic(r)), "request", about...)
			return nil
		}
	}
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

func requestLevel(status int, traffic bool) slog.Level {
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		return slog.LevelError
	case traffic && status < http.StatusBadRequest, status == http.StatusTooManyRequests: // the limit logs its refusals itself, once a second
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

// maxURI is the longest URI that the log shows. A stranger chooses the length.
const maxURI = 1 << 10

// redactedURI returns u for the log, without the values of secret parameters, and without
// texts that look like tokens in the others and in the path.
func redactedURI(u *url.URL) string {
	uri := redactedPath(u.Path)
	if u.RawQuery != "" {
		uri += "?" + redactedQuery(u.RawQuery)
	}
	if len(uri) > maxURI {
		uri = strings.ToValidUTF8(uri[:maxURI], "") + "..."
	}
	return uri
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
	if err != nil {
		return true
	}
	for _, secret := range secretParameters {
		if fold.Equal(name, secret) {
			return true
		}
	}
	return false
}
