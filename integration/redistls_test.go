//go:build linux

package integration_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// A gateway reaches a Redis whose certificate a private authority has signed if SSL_CERT_FILE names
// the authority. Without that it serves on, degraded, and its log has the reason.
func TestRedisWithPrivateAuthority(t *testing.T) {
	redis := testproc.NewRedis(t)
	redis.Password = "s/e:c#ret"
	root := redis.UseTLS()
	redis.Start()
	gateway := func(variables ...string) *server {
		command := append([]string{"env", "CARILLON_REDIS=" + redis.URL()}, variables...)
		return startServer(t, true, append(command, build(t, "../cmd/gateway"), "--interval=0")...)
	}
	for _, g := range []struct {
		*server
		ready, log string
	}{
		{gateway("SSL_CERT_FILE=" + root), "ready\n", "Redis available"},
		{gateway(), "ready, degraded: Redis is unavailable\n", "certificate signed by unknown authority"},
	} {
		for end := time.Now().Add(time.Minute); !strings.Contains(g.Output.String(), g.log); {
			if time.Now().After(end) {
				t.Fatalf("the log does not have %q:\n%s", g.log, &g.Output)
			}
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // waits for another process
		}
		response, err := http.Get(g.URL() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(text) != g.ready {
			t.Errorf("/readyz: %q, %v", text, err)
		}
		if log := g.Output.String(); strings.Contains(log, "c#ret") || strings.Contains(log, "c%23ret") {
			t.Errorf("the log has the password:\n%s", &g.Output)
		}
	}
}
