package servers

import (
	"compress/gzip"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/handlers"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// protocol is how clients speak to a server.
type protocol struct {
	name  string
	start func(*httptest.Server)
}

var protocols = []protocol{
	{"HTTP/1.1", (*httptest.Server).Start},
	{"TLS", (*httptest.Server).StartTLS},
	{"HTTP/2", func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }},
}

// middleware is what an application puts around an endpoint.
type middleware = func(http.Handler) http.Handler

// stack is a row of the matrix: a server, a router or a middleware of others.
type stack struct {
	name string
	wrap middleware
	// configure changes the HTTP server; nil: nothing is changed.
	configure func(*http.Server)
	// advice is for the cells that do not simply connect.
	advice string
}

// requestTimeout is the deadline that middleware gives requests in the matrix, and what the
// server gives answers. A poll that has to wait waits for longer.
const requestTimeout = 2 * time.Second

func stacks() []stack {
	const noDeadline = "mount the endpoint outside of it: without the deadline everything connects"
	return []stack{
		{name: "net/http", wrap: plain},
		{name: "net/http, `WriteTimeout` and `ReadTimeout`", wrap: plain, configure: func(s *http.Server) {
			s.WriteTimeout, s.ReadTimeout = requestTimeout, requestTimeout
		}},
		{name: "net/http, `ConnContext`", wrap: plain, configure: withConnContext},
		{name: "`http.TimeoutHandler`", wrap: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, requestTimeout, "late") }, advice: noDeadline},
		{name: "`http.TimeoutHandler` around gin", wrap: func(h http.Handler) http.Handler {
			return http.TimeoutHandler(byGin()(h), requestTimeout, "late")
		}, advice: noDeadline},
		{name: "chi", wrap: byChi()},
		{name: "chi `Timeout`", wrap: byChi(chimiddleware.Timeout(requestTimeout)), advice: noDeadline},
		{name: "chi `Recoverer`, `Logger`", wrap: byChi(chimiddleware.Recoverer, quietChiLogger)},
		{name: "chi `Compress`", wrap: byChi(chimiddleware.Compress(5, "text/event-stream", "application/octet-stream", "application/json", "text/plain"))},
		{name: "gin", wrap: byGin()},
		{name: "gin `Recovery`", wrap: byGin(gin.RecoveryWithWriter(nil))},
		{name: "gin `gzip`", wrap: byGin(gingzip.Gzip(gzip.DefaultCompression))},
		{name: "echo", wrap: byEcho()},
		{name: "echo `Recover`", wrap: byEcho(echomiddleware.Recover())},
		{name: "echo `Gzip`", wrap: byEcho(echomiddleware.Gzip())},
		{name: "echo `ContextTimeout`", wrap: byEcho(echomiddleware.ContextTimeout(requestTimeout)), advice: noDeadline},
		{name: "gorilla `CompressHandler`", wrap: handlers.CompressHandler},
		{name: "gorilla `RecoveryHandler` around `CompressHandler`", wrap: func(h http.Handler) http.Handler {
			return quietGorillaRecovery(handlers.CompressHandler(h))
		}},
		{name: "gorilla `RecoveryHandler`", wrap: quietGorillaRecovery},
		{name: "gorilla `LoggingHandler`", wrap: quietGorillaLogger},
		{name: "klauspost `gzhttp`", wrap: func(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) }},
		{name: "`otelhttp`", wrap: func(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "hub") }},
		{name: "a writer with the three methods only", wrap: bare,
			advice: "give the writer `Unwrap() http.ResponseWriter`"},
	}
}

func plain(h http.Handler) http.Handler { return h }

func byChi(all ...middleware) middleware {
	return func(h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Use(all...)
		r.Handle("/hub", h)
		r.Handle("/hub/*", h)
		return r
	}
}

func byGin(all ...gin.HandlerFunc) middleware {
	return func(h http.Handler) http.Handler {
		r := gin.New()
		r.Use(all...)
		r.Any("/hub", gin.WrapH(h))
		r.Any("/hub/*rest", gin.WrapH(h))
		return r
	}
}

func byEcho(all ...echo.MiddlewareFunc) middleware {
	return func(h http.Handler) http.Handler {
		r := echo.New()
		r.Use(all...)
		r.Any("/hub", echo.WrapHandler(h))
		r.Any("/hub/*", echo.WrapHandler(h))
		return r
	}
}

// bare is what a middleware that counts statuses often is.
func bare(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	})
}

func quietChiLogger(h http.Handler) http.Handler {
	return chimiddleware.RequestLogger(&chimiddleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0)})(h)
}

func quietGorillaRecovery(h http.Handler) http.Handler {
	return handlers.RecoveryHandler(handlers.RecoveryLogger(log.New(io.Discard, "", 0)))(h)
}

func quietGorillaLogger(h http.Handler) http.Handler { return handlers.LoggingHandler(io.Discard, h) }

func withConnContext(s *http.Server) {
	s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return ctx }
}

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	m.Run()
}
