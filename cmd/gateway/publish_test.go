package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/publish"
)

// publisher returns the URL of a server with the hub chat, and what it was last asked.
func publisher(t *testing.T, access, api string) (url string, asked *string) {
	t.Helper()
	keys, err := accesskey.Parse([]string{access}, []string{api}, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	chat := hosting.New("chat", hosting.Options{Options: hub.Options{Logger: slog.New(slog.DiscardHandler)}})
	chat.SetKeys(keys)
	handler := publish.New(publish.Options{Hubs: hosting.NewHubs(chat)})
	asked = new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = r.URL.RequestURI() + " " + r.Header.Get("Idempotency-Key") + " " + strings.TrimSpace(string(body))
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestPublish(t *testing.T) {
	const access, api = "an-access-key-that-is-long-enough", "an-API-key-of-the-hub-called-chat"
	url, asked := publisher(t, access, api)
	flags := map[string]string{"--api-key-file": secretFile(t, api+"\n"), "--access-key-file": secretFile(t, access+"\nthe second one\n")}
	const query = "/:send?api-version=2024-12-01"
	for line, want := range map[string]string{
		"--hub chat news":                                                     "/api/hubs/chat" + query + `  {"target":"news","arguments":[]}`,
		"--hub Chat --group a/b news 1 <x> \"1\"":                             "/api/hubs/Chat/groups/a%2Fb" + query + `  {"target":"news","arguments":[1,"<x>","1"]}`,
		"--hub chat --user u news -1 --x null":                                "/api/hubs/chat/users/u" + query + `  {"target":"news","arguments":[-1,"--x",null]}`,
		"--hub chat --connection c --idempotency-key=k news 9007199254740993": "/api/hubs/chat/connections/c" + query + ` k {"target":"news","arguments":[9007199254740993]}`,
		"--hub chat --except=a --except=b,c news":                             "/api/hubs/chat" + query + `&excluded=a&excluded=b%2Cc  {"target":"news","arguments":[]}`,
	} {
		for flag, file := range flags {
			args := append([]string{"publish", flag, file, url + "/"}, strings.Fields(line)...)
			if code, out, errs := tryFor(t, args...); code != exitOK || out != "202 Accepted\n" || errs != "" || *asked != want {
				t.Errorf("%s: exit code %d, %s%s; asked %s", line, code, out, errs, *asked)
			}
		}
	}
}

func TestPublishFails(t *testing.T) {
	const api = "an-API-key-of-the-hub-called-chat"
	url, _ := publisher(t, "an-access-key-that-is-long-enough", api)
	right, wrong, short := secretFile(t, api), secretFile(t, strings.ToLower(api)), secretFile(t, "short")
	for _, row := range []struct {
		line string
		code int
		text string
	}{
		{url + " --hub chat --api-key-file " + wrong + " news", exitFailure, "the server answered 401 Unauthorized: the request needs an API key"},
		{url + " --hub none --api-key-file " + right + " news", exitFailure, "404 Not Found: there is no such hub (Error.Hub.NotExisted)"},
		{url + "/x --hub chat --api-key-file " + right + " news", exitFailure, "404 Not Found"},
		{url + " --hub chat --access-key-file " + short + " news", exitFailure, "access key 1 has 5 bytes"},
		{url + " --hub chat --access-key-file " + secretFile(t, "\n") + " news", exitFailure, "there is no key in the file"},
		{url + " --hub chat --api-key-file /none/at/all news", exitFailure, "/none/at/all"},
		{"http://127.0.0.1:1 --hub chat --api-key-file " + right + " news", exitFailure, "refused"},
		{url + " --hub chat news", exitUsage, "--api-key-file"},
		{url + " --api-key-file " + right + " news", exitUsage, "--hub"},
		{url + " --hub chat --api-key-file " + right, exitUsage, "the target"},
		{url + " --hub chat --api-key-file " + right + " --user u --group g news", exitUsage, "--user"},
		{url + " --hub chat --api-key-file " + right + " --user u --except a news", exitUsage, "--except"},
		{"localhost:8080 --hub chat --api-key-file " + right + " news", exitUsage, "the URL must be"},
	} {
		code, out, errs := tryFor(t, append([]string{"publish"}, strings.Fields(row.line)...)...)
		if code != row.code || out != "" || !strings.Contains(errs, row.text) || strings.Contains(errs, api) {
			t.Errorf("%s: exit code %d, %s%s", row.line, code, out, errs)
		}
	}
}
