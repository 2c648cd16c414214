package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func try(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what serves at all ends at once
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestHelpShowsEverySetting(t *testing.T) {
	code, help, _ := try(t, "--help")
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, setting := range []string{"--addr", "CARILLON_ADDR", "--interval", "--transports", "CARILLON_TRANSPORTS", "--log-level", "--log-format", "--tls-cert", "--tls-key", "--cors-origin", "--config", "gateway watch", "gateway doctor", "gateway bench", "gateway token", "gateway secret", "--cluster-addr", "gateway version", "Listening\n", "Hub\n", "Proxies\n", "Tokens\n", "Limits\n", "Clock and shutdown\n", "Cluster\n", "Metrics and log\n"} {
		if !strings.Contains(help, setting) {
			t.Errorf("--help does not tell of %s", setting)
		}
	}
}

func TestWrongFlagsAreToldApartFromFailures(t *testing.T) {
	for _, args := range [][]string{{"--nonsense"}, {"--interval", "soon"}, {"--transports", "pigeon"}, {"--tls-cert", "only.pem"}} {
		if code, _, stderr := try(t, args...); code != exitUsage || !strings.Contains(stderr, "gateway") {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
	if code, _, stderr := try(t, "--addr", "127.0.0.1:-1"); code != exitFailure || stderr == "" {
		t.Errorf("an address that cannot be: exit code %d, %q", code, stderr)
	}
}

// A signal that comes before the program listens, as while it waits for the keys of an
// identity provider, ends it in order.
func TestEndBeforeTheStart(t *testing.T) {
	if code, _, stderr := try(t, "--addr", "localhost:0", "--metrics-addr", "localhost:0"); code != exitOK {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// Flags come before variables, variables before the file.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"transports": "pigeon"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := try(t, "--config", file); code != exitUsage {
		t.Error("the file is not read")
	}
	t.Setenv("CARILLON_TRANSPORTS", "owl")
	if _, _, stderr := try(t, "--config", file); !strings.Contains(stderr, "owl") {
		t.Errorf("the variable does not come before the file: %q", stderr)
	}
	if _, _, stderr := try(t, "--config", file, "--transports", "swift"); !strings.Contains(stderr, "swift") {
		t.Errorf("the flag does not come before the variable: %q", stderr)
	}
}

// A setting that is passed over may be the one that closes the hub.
func TestFileHasTheNamesOfTheFlags(t *testing.T) {
	for text, complaint := range map[string]string{
		`{"jwt-key": "none.pem"}`:                "none.pem",
		`{"jwt_key": "none.pem"}`:                "none.pem",
		`{"max-connections": "few"}`:             `"max-connections": expected`,
		`{"jwt-kye": "none.pem"}`:                "jwt-kye",
		`{"serve": {"jwt-key": "none.pem"}}`:     "serve",
		`{"addr": ":0"} {"jwt-key": "none.pem"}`: "the file continues",
	} {
		file := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := try(t, "--config", file, "--addr", "127.0.0.1:0"); code == exitOK || !strings.Contains(stderr, complaint) {
			t.Errorf("%s: exit code %d, %q", text, code, stderr)
		}
	}
}

// Fresh tokens are taken unless that is switched off, by a flag, a variable or the file. The
// flag of older versions, which switched it on, is still accepted.
func TestRefreshIsSwitchedOff(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"jwt-refresh": false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	parse := func(args ...string) bool {
		t.Helper()
		var c commands
		parser, err := kong.New(&c, kong.DefaultEnvars("CARILLON"), kong.Configuration(new(configFile).load))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil {
			t.Fatal(args, err)
		}
		return c.Serve.JWTRefresh
	}
	for _, on := range [][]string{{}, {"--jwt-refresh"}, {"--jwt-refresh=true"}, {"--config", file, "--jwt-refresh"}} {
		if !parse(on...) {
			t.Errorf("%v switches it off", on)
		}
	}
	for _, off := range [][]string{{"--no-jwt-refresh"}, {"--jwt-refresh=false"}, {"--config", file}} {
		if parse(off...) {
			t.Errorf("%v does not switch it off", off)
		}
	}
	t.Setenv("CARILLON_JWT_REFRESH", "false")
	if parse() {
		t.Error("the variable does not switch it off")
	}
}
