package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// written returns the path of a file with a text.
func written(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// One check names every error of a file, with its place and what would be right.
func TestCheckNamesAllErrors(t *testing.T) {
	file := written(t, "c.yaml", `addr: :8080
max-connections: few
drain: 5
log-level: LOUD
jwt-kye: a
tls-cert: /none
interval: 2s
jwt-key: /none
hubs:
  chat:
    path: /api/x
    pth: a
    access-key-file: /none
    clients: {jwt: {}, anonymous: true}
  news:
    path: /API/X
    invoke: ["a*b"]
    upstream: [{url: "ftp://x", events: ["c*d"]}, {url: "h:80"}]
    origins: [example.com]
    transports: []
    redis-hub: News
    events: {groups: ["*a"]}
    clients: {tickets: 30s, public-url: a}
  path:
    path: hubs
`)
	code, out, stderr := try(t, "check", file)
	if code != exitUsage || out != "" {
		t.Errorf("exit code %d, %q", code, out)
	}
	for _, want := range []string{
		`:2: "max-connections": expected a valid 64 bit int`,
		`:3: "drain": expected duration`,
		`:4: "log-level": `,
		`:5: "jwt-kye": there is no such setting; the nearest name is "jwt-key"`,
		`:6: "tls-cert" and --tls-key go together`,
		`:7: "interval": the clock is not served beside hubs of the file; remove the setting`,
		`:8: "jwt-key": beside hubs of the file each hub has this setting; write it as hubs.NAME.clients.jwt.key-file`,
		`:11: "hubs.chat.path": the program serves something else at /api`,
		`:12: "hubs.chat.pth": there is no such setting; the nearest name is "path"`,
		`:13: "hubs.chat.access-key-file": open /none: `,
		`:14: "hubs.chat.clients": anonymous, jwt and connect exclude each other`,
		`:14: "hubs.chat.clients.jwt": either key-file or jwks-url is needed`,
		`:16: "hubs.news.path": hub chat has the path /API/X already`,
		`:17: "hubs.news.invoke": "a*b" has a * that is not at its end`,
		`:18: "hubs.news.upstream[0].url": not the URL of a backend; write it as http://host:port/path`,
		`:18: "hubs.news.upstream[0].events": "c*d" has a * that is not at its end`,
		`:18: "hubs.news.upstream[1].url": not the URL of a backend`,
		`:19: "hubs.news.origins": "example.com" is no origin; write it as https://example.com`,
		`:20: "hubs.news.transports": at least one is needed`,
		`:21: "hubs.news.redis-hub": needs redis, the server`,
		`:22: "hubs.news.events.groups": "*a" has a * that is not at its end`,
		`:23: "hubs.news.clients.tickets": tickets need jwt`,
		`:23: "hubs.news.clients.public-url": "a" is no URL; write it as https://example.com/path`,
		`:25: "hubs.path.path": "hubs" must begin with a slash and not end in one`,
	} {
		if strings.Count(stderr, file+want) != 1 {
			t.Errorf("%s is not there once", want)
		}
	}
	if t.Failed() {
		t.Log(stderr)
	}
}

// Serving refuses what check refuses, with the same places.
func TestServeRefusesWrongHubs(t *testing.T) {
	file := written(t, "c.yaml", "addr: 127.0.0.1:0\nhubs:\n  chat: {access-key-file: /none}\n")
	if code, _, stderr := try(t, "--config", file); code == exitOK || !strings.Contains(stderr, file+`:3: "hubs.chat.access-key-file": open /none`) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// A fine file is summed up: who may connect to which hub, and what is open to everybody.
func TestCheckSumsUp(t *testing.T) {
	key := written(t, "key", strings.Repeat("k", 40))
	file := written(t, "c.yaml", `
access-key-file: `+key+`
hubs:
  open: {clients: {anonymous: true}, invoke: [a, "b*"]}
  closed: {}
  own: {api-key-file: `+key+`, upstream: [{url: "http://a"}]}
  jwt: {path: /j, clients: {jwt: {jwks-url: "https://127.0.0.1:1/none"}}}
`)
	code, out, stderr := try(t, "check", file)
	want := []string{
		"Nothing answers the methods that clients may invoke of open: there is no upstream.",
		file + " is fine.",
		"open     /hubs/open            everybody, or token of the access key      a, b*     access key",
		"closed   /client/?hub=closed   token of the access key                    nothing   access key",
		"own      /hubs/own             everybody                                  *         API key",
		"jwt      /j                    bearer token, or token of the access key   nothing   access key",
		"Everybody may connect to open, own and read what is sent to all.",
	}
	for _, line := range want {
		if code != exitOK || !strings.Contains(out, line+"\n") {
			t.Errorf("exit code %d, no %q in\n%s%s", code, line, out, stderr)
		}
	}
}

// Messages that are published in a cluster without Redis reach one node.
func TestCheckNamesPublishingToOneNode(t *testing.T) {
	key := written(t, "key", strings.Repeat("k", 40))
	hubs, publishing := "hubs: {chat: {}}\n", "api-key-file: "+key+"\n"
	clustered := "cluster-addr: 127.0.0.1:7001\ncluster-peers: [127.0.0.1:7002]\ncluster-secret-file: " + key + "\n"
	for text, want := range map[string]bool{
		hubs + publishing + clustered: true, hubs + clustered: false, hubs + publishing: false,
		hubs + publishing + clustered + "redis: redis://127.0.0.1:6379\n": false,
	} {
		code, out, stderr := try(t, "check", written(t, "c.yaml", text))
		if said := strings.Contains(out, "reach the clients of the node that gets the request"); code != exitOK || said != want {
			t.Errorf("%s: exit code %d, %s%s", text, code, out, stderr)
		}
	}
}

// The file that init writes is fine and served, and init overwrites nothing.
func TestInit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "carillon.yaml")
	if code, out, stderr := try(t, "init", file); code != exitOK || !strings.Contains(out, "gateway --config "+file) {
		t.Fatalf("exit code %d, %s%s", code, out, stderr)
	}
	if code, out, stderr := try(t, "check", file); code != exitOK || !strings.Contains(out, "Everybody may connect to chat") {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	if code, _, stderr := try(t, "--config", file, "--addr", "127.0.0.1:0"); code != exitOK {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if err := os.WriteFile(file, []byte("own"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := try(t, "init", file)
	if text, err := os.ReadFile(file); err != nil || string(text) != "own" || code != exitFailure || !strings.Contains(stderr, "overwrites nothing") {
		t.Errorf("exit code %d, %s, the file has %q, %v", code, stderr, text, err)
	}
}

// Every setting that init comments out is valid, too.
func TestInitComments(t *testing.T) {
	key := written(t, "key", strings.Repeat("k", 40))
	text := strings.NewReplacer("# trusted", "trusted", "# api-key-file: api-keys", "api-key-file: "+key, "# metrics-addr", "metrics-addr",
		"# origins", "origins", "# upstream:", "upstream:", "#   - url", "  - url", "# invoke", "invoke", "# slow", "slow", "# groups", "groups").Replace(initialFile)
	if code, out, stderr := try(t, "check", written(t, "c.yaml", text)); code != exitOK || !strings.Contains(out, "send, typing") {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	for _, line := range []string{"jwt: {key-file: " + key + "}", "connect: {url: http://127.0.0.1:5000/connect, cookies: [session]}"} {
		text := strings.Replace(text, "anonymous: true", line, 1)
		if code, out, stderr := try(t, "check", written(t, "c.yaml", text)); code != exitOK {
			t.Errorf("exit code %d, %s%s", code, out, stderr)
		}
	}
}
