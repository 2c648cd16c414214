package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hubfile"
)

const accessKey = "an-access-key-of-at-least-32-characters"

// clientToken returns a token for a client of the hub chat, which ends at a time.
func clientToken(t *testing.T, expires time.Time) string {
	t.Helper()
	return tokenFor(t, "http://hub/client/?hub=chat", expires)
}

func tokenFor(t *testing.T, audience string, expires time.Time) string {
	t.Helper()
	keys, err := accesskey.Parse([]string{accessKey}, nil, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.Sign(accesskey.Grant{Audience: audience, UserID: "ann", Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A hub with an access key serves clients that an application has redirected, and its own path only
// if the file says who may connect there.
func TestRedirectedClients(t *testing.T) {
	own, only := hubfile.New("chat"), hubfile.New("keys-only")
	own.Clients.Anonymous = true
	own.AccessKeyFile, only.AccessKeyFile = secretFile(t, accessKey), secretFile(t, strings.Repeat("other", 10))
	plain := hubfile.New("plain")
	r := start(t, func(c *Config) { withHubs(own, only, plain)(c) })
	token := []string{"Authorization", "Bearer " + clientToken(t, time.Now().Add(time.Minute))}
	for path, want := range map[string]int{
		"/client/negotiate?hub=chat&negotiateVersion=1":      http.StatusOK,
		"/CLIENT/Negotiate/?hub=Chat&negotiateVersion=1":     http.StatusOK,
		"/client/negotiate?hub=keys-only&negotiateVersion=1": http.StatusUnauthorized,
		"/client/negotiate?hub=plain&negotiateVersion=1":     http.StatusNotFound,
		"/client/events?hub=chat":                            http.StatusNotFound,
		"/client/diagnose?hub=chat":                          http.StatusNotFound,
		"/hubs/keys-only/negotiate?negotiateVersion=1":       http.StatusNotFound,
		"/hubs/plain/negotiate?negotiateVersion=1":           http.StatusOK,
	} {
		if got := r.do(http.MethodPost, path, "", token...).StatusCode; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for _, line := range []string{"hub=chat path=/hubs/chat clients=anonymous redirected=true", "hub=keys-only path=/hubs/keys-only clients=none redirected=true", "hub=plain path=/hubs/plain clients=anonymous redirected=false"} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log has no %q", line)
		}
	}
}

// Each kind of token opens its own door of the program.
func TestKindsOfTokens(t *testing.T) {
	r := start(t, func(c *Config) {
		withHubs(hubfile.New("chat"))(c)
		c.AccessKeyFile, c.APIKeyFile = secretFile(t, accessKey), secretFile(t, apiKey)
	})
	const client, api = "/client/negotiate?hub=chat&negotiateVersion=1", "/api/v1/hubs/chat"
	later := time.Now().Add(time.Minute)
	for name, c := range map[string]struct {
		token       string
		client, api int
	}{
		"of a client":  {tokenFor(t, "http://hub/client/?hub=chat", later), 200, 401},
		"of a server":  {tokenFor(t, "http://hub/server/?hub=chat", later), 401, 401},
		"of a request": {tokenFor(t, "http://hub"+api, later), 401, 202},
		"without aud":  {tokenFor(t, "", later), 401, 401},
		"API key":      {apiKey, 401, 401}, // it is no bearer token
		"access key":   {accessKey, 401, 401},
		"none":         {"", 401, 401},
	} {
		for path, want := range map[string]int{client: c.client, api: c.api} {
			answer := r.do(http.MethodPost, path, `{"target":"news","arguments":[]}`, "Authorization", "Bearer "+c.token, "Content-Type", "application/json")
			if answer.StatusCode != want {
				t.Errorf("%s: %s: %d, want %d", name, path, answer.StatusCode, want)
			}
		}
	}
	if log := r.log.String(); strings.Contains(log, accessKey) || strings.Contains(log, apiKey) || strings.Contains(log, "eyJ") {
		t.Error("the log has a secret")
	}
}

// Three programs serve the redirected clients of a hub. Each request of a connection arrives at
// another program, and is accepted after the end of the token as well.
func TestRedirectedClientsOfACluster(t *testing.T) {
	t.Parallel()
	chat := hubfile.New("chat")
	_, all := startCluster(t, withHubs(chat), func(c *Config) {
		c.AccessKeyFile, c.APIKeyFile = secretFile(t, accessKey), secretFile(t, apiKey)
	})
	turn := &turns{targets: all, transport: http.DefaultTransport.(*http.Transport).Clone()}
	defer turn.transport.CloseIdleConnections()
	turn.transport.DialContext = turn.dial
	ends := time.Now().Add(20 * time.Second)
	token := clientToken(t, ends.Add(-accesskey.ClockSkew)) // which is accepted for that much longer
	var listeners []*listener
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		l := &listener{client.New("http://hub/client/?hub=chat", client.Options{
			Transports: []client.Transport{transport}, HTTPClient: &http.Client{Transport: turn.transport}, Memory: client.NewMemory(),
			AccessToken: func(context.Context) (string, error) { return token, nil },
		}), make(chan string, 10)}
		l.On("news", client.Action1(func(_ context.Context, text string) error { l.got <- text; return nil }))
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(transport, err)
		}
		listeners = append(listeners, l)
	}
	time.Sleep(time.Until(ends.Add(time.Second))) // until the token has ended
	for i, l := range listeners {
		for _, r := range all {
			r.publish("chat", fmt.Sprint("message ", i))
		}
		for _, l := range listeners {
			l.expect(t, fmt.Sprint("message ", i))
		}
		if err := l.Invoke(t.Context(), "anything"); err == nil || !strings.Contains(err.Error(), "Method does not exist.") {
			t.Errorf("an invocation by %s: %v", l.Transport(), err)
		}
	}
	late := client.New(all[0].url+"/client/?hub=chat", client.Options{AccessToken: func(context.Context) (string, error) { return token, nil }})
	if err := late.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a client that comes late: %v", err)
	}
	for _, l := range listeners {
		if err := l.Stop(t.Context()); err != nil {
			t.Error(l.Transport(), err)
		}
	}
}
