package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/fold"
)

// site serves all paths. Paths ignore case.
type site struct {
	node      *node
	planes    *planes
	clocks    hub.Context[clock.Clock]
	endpoints []*endpoint.Endpoint
	routes    map[string]http.Handler // by lower-case path
	testHub   *hub.Hub
	broadcast http.Handler // of /lab-all/
}

func newSite(t timeouts, n *node, p *planes) (*site, error) {
	tokens, err := newTokens(n)
	if err != nil {
		return nil, err
	}
	s := &site{node: n, planes: p, routes: map[string]http.Handler{"/generatejwttoken": getOnly(tokens)}}
	s.addTestHubs(t, tokens)
	s.addLabs(t, tokens)
	return s, nil
}

// serve adds an endpoint of a hub.
func (s *site) serve(path string, hub *hub.Hub, o endpoint.Options, guard func(http.Handler) http.Handler) {
	s.node.join(path, &o)
	s.add(path, endpoint.New(hub, o), guard)
}

// add mounts an endpoint at a path and at its negotiation.
func (s *site) add(path string, e *endpoint.Endpoint, guard func(http.Handler) http.Handler) {
	s.endpoints = append(s.endpoints, e)
	h := guard(e)
	s.routes[path], s.routes[path+"/negotiate"] = h, h
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isASCII(r.RequestURI) { // Kestrel refuses it
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	path := strings.ToLower(normalPath(r.URL))
	cors(w.Header(), r.Header)
	// The hubs for observation return the endpoint's own answer.
	if r.Method == http.MethodOptions && !strings.HasPrefix(r.URL.Path, "/lab") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	switch {
	case within(path, "/echoredirect"):
		s.redirectToEcho(w, r)
		return
	case within(path, "/redirect"):
		redirectToHub(w, r)
		return
	}
	if strings.Contains(path, "/negotiate") {
		setCookies(w, r)
	}
	if within(path, "/bad-negotiate") {
		w.Header()["Content-Type"] = nil
		chunked(w, http.StatusBadRequest, "Some response from server")
		return
	}
	s.route(w, r, path)
}

func (s *site) route(w http.ResponseWriter, r *http.Request, path string) {
	if h := s.routes[strings.TrimSuffix(path, "/")]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	if id, ok := strings.CutPrefix(path, "/clientresult/"); ok && id != "" && !strings.Contains(id, "/") {
		getOnly(http.HandlerFunc(s.clientResult)).ServeHTTP(w, r)
		return
	}
	if target, ok := strings.CutPrefix(path, "/lab-all/"); ok && target != "" {
		s.broadcast.ServeHTTP(w, r)
		return
	}
	if path == "/cluster-stats" && s.node != nil {
		_ = json.NewEncoder(w).Encode(s.node.Stats())
		return
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusNotFound)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// query returns the values of a parameter, joined by commas. Its name ignores case.
func query(r *http.Request, name string) string {
	var all []string
	for n, values := range r.URL.Query() {
		if fold.Equal(n, name) {
			all = append(all, values...)
		}
	}
	return strings.Join(all, ",")
}

// normalPath returns the path as Kestrel routes it: without dot segments, and with %2F
// unchanged, because it does not separate segments.
func normalPath(u *url.URL) string {
	p := u.EscapedPath()
	if strings.Contains(strings.ToLower(p), "%2f") {
		return p
	}
	segments := strings.Split(u.Path, "/")
	kept := segments[:0]
	for _, s := range segments {
		switch s {
		case ".":
		case "..":
			kept = kept[:max(1, len(kept)-1)]
		default:
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, "/")
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// cors allows every origin, method and header that a request names.
func cors(answer, request http.Header) {
	origin := request.Values("Origin")
	if len(origin) == 0 {
		return
	}
	answer["Access-Control-Allow-Origin"] = origin
	answer.Set("Access-Control-Allow-Credentials", "true")
	for asked, allowed := range map[string]string{
		"Access-Control-Request-Method":  "Access-Control-Allow-Methods",
		"Access-Control-Request-Headers": "Access-Control-Allow-Headers",
	} {
		if values := request.Values(asked); len(values) > 0 {
			answer[allowed] = values
		}
	}
}

func (s *site) redirectToEcho(w http.ResponseWriter, r *http.Request) {
	location := "/echo" + r.URL.EscapedPath()[len("/echoredirect"):]
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// redirectToHub numbers redirects by the time in milliseconds: a client repeats the same request
// when it reconnects, so a count per process does not grow if another node answers it.
func redirectToHub(w http.ResponseWriter, r *http.Request) {
	number := time.Now().UnixMilli() & math.MaxInt32 // the .NET client reads 32 bits
	target := fmt.Sprintf("%s/testHub?numRedirects=%d", query(r, "baseUrl"), number)
	body, _ := json.Marshal(struct { // cannot fail: strings always marshal
		URL string `json:"url"`
	}{target})
	w.Header()["Content-Type"] = nil // ASP.NET Core sends none
	chunked(w, http.StatusOK, string(body))
}

// setCookies writes cookies as ASP.NET Core does: attributes in lower case and in its order.
func setCookies(w http.ResponseWriter, r *http.Request) {
	attributes := "; path=/"
	if r.TLS != nil {
		attributes += "; secure; samesite=none"
	}
	anHourAgo := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for _, cookie := range []string{"testCookie=testValue", "testCookie2=testValue2", "expiredCookie=doesntmatter; expires=" + anHourAgo} {
		w.Header().Add("Set-Cookie", cookie+attributes)
	}
}

// getOnly refuses all methods but GET.
func getOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	chunked(w, http.StatusOK, text)
}

// chunked answers without a Content-Length, as ASP.NET Core's middleware does.
func chunked(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Transfer-Encoding", "chunked")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// clientResult invokes a method of a client of the test hub that returns a number.
func (s *site) clientResult(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[len("/clientresult/"):]
	n, err := hub.Invoke[int32](r.Context(), s.testHub.Clients().Client(id), "Result")
	if err != nil {
		plain(w, err.Error())
		return
	}
	plain(w, strconv.Itoa(int(n)))
}

// shutdown shuts all endpoints down concurrently.
func (s *site) shutdown(ctx context.Context) error {
	var wait sync.WaitGroup
	errs := make([]error, len(s.endpoints))
	for i, e := range s.endpoints {
		wait.Go(func() { errs[i] = e.Shutdown(ctx) })
	}
	wait.Wait()
	return errors.Join(errs...)
}
