package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

const cluster = "--cluster-secret-file f"

// A setting does what it says or is refused.
func TestSettingsAtTheirBounds(t *testing.T) {
	for line, complaint := range map[string]string{
		"--interval 0":              "",
		"--interval -1s":            "",
		"--max-connections -1":      "",
		"--max-connections=-1":      "",
		"--max-per-user -1":         "",
		"--max-per-address -1":      "",
		"--drain 0":                 "",
		"--path /a/b":               "",
		"--path /healthz":           "--path: the program serves something else at /healthz",
		"--path /healthz/hub":       "--path",
		"--path /READYZ":            "--path",
		"--path /":                  "--path",
		"--path /a:b":               "--path",
		"--path /a*":                "--path",
		"--path //host/hub":         "--path",
		"--path /a/../b":            "--path",
		"--path /a%20b":             "--path",
		"--drain -1s":               "--drain",
		"--shutdown-timeout -1s":    "--shutdown-timeout",
		"--max-connections few":     "--max-connections",
		"--tls-cert --tls-key a":    "--tls-cert",
		"--jwt-max-lifetime -1s":    "--jwt-max-lifetime",
		"--log-level LOUD":          "--log-level",
		"--metrics-addr 127.0.0.1:": "",

		"--cluster-peers a:1":                                                   "need --cluster-addr",
		"--cluster-secret-file f":                                               "need --cluster-addr",
		"--cluster-dns a:1":                                                     "need --cluster-addr",
		"--cluster-advertise a:1":                                               "need --cluster-addr",
		"--cluster-addr 127.0.0.1:8301":                                         "needs --cluster-secret-file; gateway secret makes",
		"--cluster-addr 127.0.0.1:8301 --cluster-secret-file f":                 "needs --cluster-peers or --cluster-dns",
		cluster + " --cluster-addr :8301 --cluster-peers a:1":                   "--cluster-advertise has to say",
		cluster + " --cluster-addr 0.0.0.0:8301 --cluster-dns a:1":              "--cluster-advertise has to say",
		cluster + " --cluster-addr 127.0.0.1:0 --cluster-dns a:1":               "--cluster-addr needs a port",
		cluster + " --cluster-addr unix:/a --cluster-dns a:1":                   "--cluster-addr: ",
		cluster + " --cluster-addr a:99999 --cluster-dns a:1":                   "--cluster-addr: ",
		cluster + " --cluster-addr a:1 --cluster-dns a:1 --cluster-peers a:1":   "exclude each other",
		cluster + " --cluster-addr a:1 --cluster-peers a:1,b":                   "--cluster-peers: ",
		cluster + " --cluster-addr a:1 --cluster-dns nodes":                     "--cluster-dns: ",
		cluster + " --cluster-addr a:1 --cluster-dns a:1 --cluster-advertise a": "--cluster-advertise: ",
	} {
		code, _, stderr := try(t, append([]string{"--addr", "127.0.0.1:0"}, strings.Split(line, " ")...)...)
		want := exitUsage
		if complaint == "" {
			want = exitOK
		}
		if code != want || !strings.Contains(stderr, complaint) {
			t.Errorf("%s: exit code %d, %q", line, code, stderr)
		}
	}
}

// An error of the configuration file names the file, the line and the key, and not the flag.
func TestErrorsOfTheFileNameTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"{\n\"addr\": \":0\",\n\"jwt-kye\": \"x\"}":                `:3: "jwt-kye": there is no such setting; the nearest name is "jwt-key"`,
		"{\n\"max-connections\":\n \"few\"}":                       `:2: "max-connections": `,
		"{\n\n\"max_connections\": \"few\"}":                       `:3: "max_connections": `,
		"{\n\"path\": \"/healthz\"}":                               `:2: "path": the program`,
		"{\"drain\": \"1s\",\n\"transports\": [\"pigeon\"]}":       `:2: "transports": `,
		"{\n\"rule\": [\"x=y\"],\n\"host\": [\"a/b\"]}":            `:3: "host": `,
		"{\n\"addr\": \":0\",\n\"addr\": \":1\"}":                  `:3: "addr": the setting is also in line 2`,
		"{\n\"serve\": {\"jwt-key\": \"x\"}}":                      `:2: "serve": `,
		"{\n\"addr\": \":0\"\n\"path\": \"/a\"}":                   `:2: `,
		"{\n\"addr\": nothing}":                                    `:2: `,
		"[\n]":                                                     `:1: the file is not a JSON object`,
		"{\n\"addr\": \":0\"":                                      `:2: the JSON object has no end`,
		"{}\n{}":                                                   `:2: the file continues after the JSON object`,
		"":                                                         `:1: the file is not a mapping; write settings as key: value`,
		"{\n\"jwt-key\": \"/none/key.pem\"}":                       `:2: "jwt-key": `,
		"{\n\"tls-cert\": \"/none/a\",\n\"tls-key\": \"/none/b\"}": `:2: "tls-cert", "tls-key": the certificate`,
		"{\n\"tls-cert\": \"/none/a\"}":                            `:2: "tls-cert" and --tls-key go together`,
		"{\n\"addr\": \"256.0.0.1:nothing\"}":                      `:2: "addr": `,
		"{\n\"interval\": 5}":                                      `:2: "interval": `,
		"{\n\"jwt_max_lifetime\": 3600}":                           `:2: "jwt_max_lifetime": `,
		"{\n\"max_connections\": 1.5}":                             `:2: "max_connections": `,
		"{\n\"log_level\": 3}":                                     `:2: "log_level": `,
		"{\n\"help\": true}":                                       `:2: "help": there is no such setting`,
		"{\n\"config\": \"other.json\"}":                           `:2: "config": there is no such setting`,
	} {
		file := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := try(t, "--config", file)
		if code == exitOK || !strings.Contains(stderr, file+want) || strings.Contains(strings.ReplaceAll(stderr, "--tls-key go", ""), ": --") {
			t.Errorf("%q: exit code %d, %q, want %q", text, code, stderr, want)
		}
	}
}

// An error about a setting that a variable has set names the variable, and not the flag.
func TestErrorsOfVariablesNameThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte("{\n\"tls-key\": \"/none/b\", \"drain\": \"1s\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		args        []string
		want        string
	}{
		{"CARILLON_MAX_CONNECTIONS", "few", nil, "gateway: CARILLON_MAX_CONNECTIONS: expected a valid 64 bit int"},
		{"CARILLON_LOG_FORMAT", "xml", nil, "gateway: CARILLON_LOG_FORMAT must be one of"},
		{"CARILLON_JWT_KEY", "/none/key.pem", nil, "gateway: CARILLON_JWT_KEY: bearer: open /none/key.pem"},
		{"CARILLON_ADDR", "256.0.0.1:nothing", nil, "gateway: CARILLON_ADDR: listen tcp"},
		{"CARILLON_TLS_CERT", "/none/a", nil, "gateway: CARILLON_TLS_CERT and --tls-key go together"},
		{"CARILLON_TLS_CERT", "/none/a", []string{"--config", file}, "gateway: " + file + `:2: CARILLON_TLS_CERT, "tls-key": the certificate: `},
		{"CARILLON_DRAIN", "-1s", []string{"--config", file, "--tls-cert", "c"}, `gateway: CARILLON_DRAIN and --shutdown-timeout: the times`},
		{"CARILLON_JWT_KEY", "/none/key.pem", []string{"--jwt-key", "/none/other.pem"}, "gateway: --jwt-key: bearer: open /none/other.pem"},
	} {
		t.Run(c.name+strings.Join(c.args, " "), func(t *testing.T) {
			t.Setenv(c.name, c.value)
			if code, _, stderr := try(t, append(c.args, "--metrics-addr", "127.0.0.1:0")...); code == exitOK || !strings.HasPrefix(stderr, c.want) {
				t.Errorf("exit code %d, %q, want %q", code, stderr, c.want)
			}
		})
	}
}

// A misspelt variable is named, with the nearest setting and without its value.
func TestMisspeltVariables(t *testing.T) {
	for name, nearest := range map[string]string{
		"CARILLON_JWT_KYE":           "CARILLON_JWT_KEY",
		"CARILLON_JWTKEY":            "CARILLON_JWT_KEY",
		"carillon_jwt_key":           "CARILLON_",
		"CARILON_JWT_KEY":            "CARILLON_JWT_KEY",
		"CARILLON_LISTEN":            "CARILLON_",
		"CARILLON_PORT_8080_TCP":     "",
		"CARILLON_SERVICE_PORT_HTTP": "",
		"CARILLON_TOKEN":             "",
		"CAROUSEL":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "sesame-sesame")
			_, _, stderr := try(t, "version")
			if named := strings.Contains(stderr, "the variable "+name+" is no setting"); named != (nearest != "") || !strings.Contains(stderr, nearest) || strings.Contains(stderr, "sesame") {
				t.Errorf("%q", stderr)
			}
		})
	}
}

// help is another word for --help.
func TestHelpAsAWord(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"help", "token", "mint"}, {"token", "--help"}} {
		if code, out, stderr := try(t, args...); code != exitOK || !strings.Contains(out, "Usage: gateway") {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}

// watch --insecure accepts the certificate of a test server, on every transport.
func TestWatchInsecure(t *testing.T) {
	h := hub.New(hub.Options{})
	h.OnConnected(func(ctx context.Context) error { return h.Clients().Caller(ctx).Send(ctx, "Greet") })
	e := endpoint.New(h, endpoint.Options{})
	server := httptest.NewTLSServer(e)
	defer server.Close()
	defer func() { _ = e.Shutdown(context.WithoutCancel(t.Context())) }()
	if _, _, stderr := watchFor(t, server.URL); !strings.Contains(stderr, "certificate") {
		t.Error(stderr)
	}
	for transport := range transportNames {
		if code, out, stderr := watchFor(t, server.URL, "--insecure", "--count", "1", "--transport", transport); code != exitOK {
			t.Errorf("%s: exit code %d, %s%s", transport, code, out, stderr)
		}
	}
}

// A 401 says why in each command that is a client.
func TestRefusedTokensSayWhy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="The token expired"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	for _, args := range [][]string{
		{"watch", server.URL}, {"doctor", "--idle", "0s", server.URL},
		{"bench", "--connections", "1", server.URL}, {"bench", "--mode", "negotiate", "--connections", "1", server.URL},
		{"bench", "--mode", "connect", "--transport", "sse", "--connections", "1", server.URL},
	} {
		code, out, stderr := tryFor(t, args...)
		if code == exitOK || !strings.Contains(out+stderr, "The token expired") {
			t.Errorf("%v: exit code %d, %s%s", args, code, out, stderr)
		}
	}
}

// A hub that needs a token gets none.
func TestWatchAsksForAToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	code, _, stderr := watchFor(t, server.URL)
	if code != exitFailure || !strings.Contains(stderr, "401") || !strings.Contains(stderr, "set CARILLON_TOKEN") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// gateway secret prints another secret each time, and a cluster needs a good one.
func TestSecretOfACluster(t *testing.T) {
	_, one, _ := try(t, "secret")
	code, two, _ := try(t, "secret")
	if code != exitOK || one == two || len(one) != len("LrPk5rKNVR3oJZH1hLj0uP1CJd8i0lUxjFJkYLoPcRk=\n") {
		t.Errorf("exit code %d, %d and %d characters", code, len(one), len(two))
	}
	for text, want := range map[string]string{"": "there is no secret", "c2VzYW1l": "secret 1 has 6 bytes", "sesame street": "is not base64"} {
		code, _, stderr := try(t, "--addr", "127.0.0.1:0", "--cluster-addr", "127.0.0.1:8301", "--cluster-peers", "127.0.0.1:8301", "--cluster-secret-file", secretFile(t, text))
		if code != exitFailure || !strings.Contains(stderr, "--cluster-secret-file: ") || !strings.Contains(stderr, want) || strings.Contains(stderr, "sesame") {
			t.Errorf("%q: exit code %d, %q", text, code, stderr)
		}
	}
}

// An application and the gateway get the same key.
func TestConnectionString(t *testing.T) {
	code, text, _ := try(t, "secret", "--connection-string", "http://127.0.0.1:7000")
	line, key, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if want := "Endpoint=http://127.0.0.1:7000;AccessKey=" + key + ";Version=1.0;"; code != exitOK || line != want || len(key) != 44 {
		t.Errorf("%d: %q", code, text)
	}
	if _, again, _ := try(t, "secret", "--connection-string", "http://127.0.0.1:7000"); again == text {
		t.Error("the same key twice")
	}
	if code, text, stderr := try(t, "secret", "--connection-string", "127.0.0.1:7000"); code != exitFailure || text != "" || !strings.Contains(stderr, "--connection-string: the URL of a server has a scheme") {
		t.Errorf("%d: %s%s", code, text, stderr)
	}
}
