package longpolling_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
)

// longText is more than the HTTP server keeps of a body before it sends.
var longText = strings.Repeat("0123456789abcdef", 1<<10)

// answers are handlers of middleware that a request names in X-Test. They return what the
// methods of their writer return.
var answers = map[string]func(w http.ResponseWriter, control *http.ResponseController) []any{
	"nothing": func(http.ResponseWriter, *http.ResponseController) []any { return nil },
	"short": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		n, err := io.WriteString(w, "<html>short")
		return []any{n, err}
	},
	"long": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		n, err := w.Write([]byte(longText))
		return []any{n, err}
	},
	"long with a length": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Content-Length", fmt.Sprint(len(longText)))
		n, err := io.Copy(w, strings.NewReader(longText))
		return []any{n, err}
	},
	"read from": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(longText))
		return []any{n, err}
	},
	"flushed": func(w http.ResponseWriter, control *http.ResponseController) []any {
		err := control.Flush()
		w.Header().Set("X-Late", "not sent")
		_, wrote := io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		_, again := io.WriteString(w, "two")
		return []any{err, wrote, again}
	},
	"flushed with a length": func(w http.ResponseWriter, control *http.ResponseController) []any {
		w.Header().Set("Content-Length", "6")
		_, err := io.WriteString(w, "one")
		flushed := control.Flush()
		_, again := io.WriteString(w, "two")
		return []any{err, flushed, again}
	},
	"informational": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		w.WriteHeader(http.StatusAccepted)
		_, err := io.WriteString(w, "done")
		return []any{err}
	},
	"superfluous": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "not sent")
		w.WriteHeader(http.StatusOK)
		return nil
	},
	"no content": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Transfer-Encoding", "chunked")
		w.WriteHeader(http.StatusNoContent)
		n, err := io.WriteString(w, "body")
		return []any{n, err}
	},
	"not modified": func(w http.ResponseWriter, control *http.ResponseController) []any {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Etag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
		n, err := io.WriteString(w, "body")
		return []any{n, err, control.Flush()}
	},
	"too much": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Content-Length", "3")
		n, err := io.WriteString(w, "one")
		more, tooMuch := io.WriteString(w, "two")
		return []any{n, err, more, tooMuch}
	},
	"too little": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Content-Length", "4")
		n, err := io.WriteString(w, "one")
		return []any{n, err}
	},
	"no length": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Content-Length", "-1")
		n, err := io.WriteString(w, "one")
		return []any{n, err}
	},
	"length and coding": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Content-Length", "3")
		w.Header().Set("Transfer-Encoding", "chunked")
		n, err := io.WriteString(w, "one")
		return []any{n, err}
	},
	"identity": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Transfer-Encoding", "identity")
		n, err := io.WriteString(w, "until the end")
		return []any{n, err}
	},
	"declared trailers": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Trailer", "X-Sum, X-Other")
		n, err := io.WriteString(w, "one")
		w.Header().Set("X-Sum", "1")
		return []any{n, err}
	},
	"late trailers": func(w http.ResponseWriter, control *http.ResponseController) []any {
		_, err := io.WriteString(w, "one")
		flushed := control.Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		return []any{err, flushed}
	},
	"compressed": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Content-Encoding", "br")
		n, err := io.WriteString(w, "<html>")
		return []any{n, err}
	},
	"no date": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header()["Date"] = nil
		return nil
	},
	"unknown status": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.WriteHeader(299)
		return nil
	},
	"last": func(w http.ResponseWriter, _ *http.ResponseController) []any {
		w.Header().Set("Connection", "close")
		n, err := io.WriteString(w, "one")
		return []any{n, err}
	},
	"deadlines": func(w http.ResponseWriter, control *http.ResponseController) []any {
		read, write := control.SetReadDeadline(time.Now().Add(patience)), control.SetWriteDeadline(time.Now().Add(patience))
		n, err := io.WriteString(w, "one")
		return []any{read, write, control.EnableFullDuplex(), n, err}
	},
	"taken": func(w http.ResponseWriter, control *http.ResponseController) []any {
		w.WriteHeader(http.StatusAccepted)
		conn, _, err := control.Hijack()
		if err != nil {
			return []any{err}
		}
		defer conn.Close()
		_, wrote := io.WriteString(w, "not written")
		_, _, again := control.Hijack()
		_, wroteSelf := io.WriteString(conn, "5\r\ntaken\r\n0\r\n\r\n")
		return []any{wrote, again, wroteSelf}
	},
	"invalid status": func(w http.ResponseWriter, _ *http.ResponseController) (panicked []any) {
		defer func() {
			panicked = []any{recover()}
			_, _ = io.WriteString(w, "better")
		}()
		w.WriteHeader(42)
		return nil
	},
}

// answered is what a client sees of an answer.
type answered struct {
	heads    []string // of informational answers, too
	body     string
	cut      bool // the body is shorter than it says
	trailer  string
	usable   bool // for another request
	returned string
}

func headOf(r *http.Response) string {
	r.Header.Del("X-Address")
	if r.Header["Date"] != nil {
		r.Header.Set("Date", "some")
	}
	names := slices.Sorted(maps.Keys(r.Header))
	for i, name := range names {
		names[i] = name + ": " + strings.Join(r.Header[name], ", ")
	}
	return fmt.Sprint(r.Status, names, r.TransferEncoding, r.ContentLength, r.Close)
}

// ask requests what a handler answers.
func (p *poller) ask(name string) (a answered) {
	p.s.t.Helper()
	p.write("GET" + p.head + "X-Test: " + name + "\r\n\r\n")
	response := p.read()
	for ; response.StatusCode < 200; response = p.read() {
		a.heads = append(a.heads, headOf(response))
	}
	a.heads = append(a.heads, headOf(response))
	body, err := io.ReadAll(response.Body)
	a.body, a.cut, a.trailer = string(body), errors.Is(err, io.ErrUnexpectedEOF), fmt.Sprint(response.Trailer)
	a.returned = fmt.Sprint(await(p.s.t, p.s.returned)...)
	await(p.s.t, p.s.served)
	_, _ = io.WriteString(p.conn, "GET"+p.head+"X-Test: refuse\r\n\r\n")
	if again, err := http.ReadResponse(p.r, nil); err == nil {
		_ = again.Body.Close()
		a.usable = true
		await(p.s.t, p.s.served)
	}
	return a
}

// A handler finds the same writer within the HTTP server and outside, and its client gets the
// same answer.
func TestSameWriter(t *testing.T) {
	s := newSite(t, transports.Options{}, func(s *httptest.Server) { s.Config.ErrorLog = log.New(io.Discard, "", 0) })
	c, first := s.open()
	_ = first.conn.Close()
	await(t, s.served)
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		want := s.dial(c).ask(name)
		outside := s.dial(c)
		outside.park()
		send(t, c, "x")
		outside.expect("x")
		got := outside.ask(name)
		if got, want := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); got != want {
			t.Errorf("%s: %.2000q\nwithin the HTTP server: %.2000q", name, got, want)
		}
	}
}

// The first poll of a second connection comes where a poll of the first one waited, through
// middleware that flushes.
func TestSecondConnection(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	first, p := s.open()
	await(t, s.served)
	p.park()
	first.Abort(nil)
	if response, _ := read(t, p); response.StatusCode != http.StatusNoContent {
		t.Fatal(response.Status)
	}
	n := connectiontest.Promise(t, s.registry, nil)
	p.head = strings.Replace(p.head, first.Token(), n.Token(), 1)
	p.poll("X-Test: flusher\r\n")
	p.expect("")
	await(t, s.served)
	p.park()
	send(t, s.registry.Find(n.Token()), "x")
	p.expect("x")
	if len(s.accepted) > 0 {
		t.Error("polls were handed back to the HTTP server")
	}
}

// Middleware that ends its goroutine ends a network connection, but no poll that waits on it.
func TestEndOfGoroutine(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	p.park("X-Test: exit\r\n") // when its poll waits
	send(t, c, "x")
	p.expect("x")
	p.park("X-Test: exit\r\n") // now on the goroutine of the line
	send(t, c, "y")
	p.expect("y")
	p.write("GET" + p.head + "X-Test: exit first\r\n\r\n")
	await(t, s.served)
	p.expectEOF()
}
