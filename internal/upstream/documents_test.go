package upstream

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/internal/testproc"
	"github.com/carillon-go/carillon/protocol"
)

// The backends of docs/upstream.md, in Python and in Node, verify signatures and answer.
func TestBackendsOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/upstream.md")
	if err != nil {
		t.Fatal(err)
	}
	for language, command := range map[string]string{"python": "python3", "js": "node"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
			if block == nil {
				t.Fatal("the page has no program")
			}
			url := runBackend(t, command, "backend."+strings.TrimPrefix(language, "python"), block[1])
			useBackend(t, url)
		})
	}
}

// runBackend runs a program until the test ends, and returns its URL.
func runBackend(t *testing.T, command, name string, program []byte) (url string) {
	if _, err := exec.LookPath(command); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, program, 0o600); err != nil {
		t.Fatal(err)
	}
	address := testproc.FreeAddress()
	_, port, _ := net.SplitHostPort(address)
	ctx, stop := context.WithCancel(context.Background())
	process := exec.CommandContext(ctx, command, path, port)
	process.Env = append(os.Environ(), "ACCESS_KEY="+firstKey)
	var output testproc.Output
	process.Stdout, process.Stderr = &output, &output
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = process.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // waits for another process
		conn, err := net.Dial("tcp", address) //nolint:noctx // on this machine
		if err == nil {
			_ = conn.Close()
			return "http://" + address
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func useBackend(t *testing.T, url string) {
	l := newLab(t, Settings{
		Templates: []Template{{URL: url + "/{category}", Format: "json"}},
		Connect:   &Connect{URL: url + "/connect", Cookies: []string{"session"}},
	}, hub.Options{})
	r := httptest.NewRequest(http.MethodPost, "/chat/negotiate", nil)
	if _, err := l.Authenticator().Authenticate(r); err == nil || l.meter.count("connect status") != 1 {
		t.Errorf("a client without a session: %v\n%s", err, l.log)
	}
	r.AddCookie(&http.Cookie{Name: "session", Value: "ann"})
	user, err := l.Authenticator().Authenticate(r)
	if err != nil || user.ID != "ann" {
		t.Fatalf("the user is %v, %v\n%s", user, err, l.log)
	}
	for _, p := range []protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()} {
		c := hubtest.Connect(t, l.hub, hubtest.Options{User: user, Client: client.Options{Protocol: p}})
		for range 3 {
			if got, err := client.Invoke[string](t.Context(), c.HubConnection, "say", "hello"); err != nil || got != "ann says hello" {
				t.Errorf("%s: the result is %q, %v\n%s", p.Name(), got, err, l.log)
			}
		}
		if got := c.Groups(); len(got) != 1 || got[0] != "lobby" {
			t.Errorf("%s: the groups are %v", p.Name(), got)
		}
		_ = c.Stop(t.Context())
	}
	body := `{"type":1,"invocationId":"1","arguments":["x"]}`
	for name, forge := range map[string]func(http.Header){
		"200 genuine":          func(http.Header) {},
		"401 without":          func(h http.Header) { delete(h, "webhook-signature") },
		"401 another id":       func(h http.Header) { h["webhook-id"] = []string{"msg_2"} },
		"401 another key":      func(h http.Header) { h["webhook-signature"] = []string{"v1,AAAA"} },
		"401 another time":     func(h http.Header) { h["webhook-timestamp"] = []string{strconv.FormatInt(time.Now().Unix()-1, 10)} },
		"401 an old timestamp": func(h http.Header) { sign(h, l.keys(), "msg_1", time.Now().Add(-6*time.Minute), []byte(body)) },
		"401 another body":     func(h http.Header) { sign(h, l.keys(), "msg_1", time.Now(), []byte(body+" ")) },
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/messages", bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		sign(request.Header, l.keys(), "msg_1", time.Now(), []byte(body))
		forge(request.Header)
		response, err := l.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if !strings.HasPrefix(name, strconv.Itoa(response.StatusCode)) {
			t.Errorf("%s: the backend answers %d", name, response.StatusCode)
		}
	}
}
