package gateway

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// connectServer connects an application server with accessKey to a hub. It returns the status of the
// answer.
func (r *running) connectServer(hub string) (status int) {
	r.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + tokenFor(r.t, "http://hub/server/?hub="+hub, time.Now().Add(time.Minute))}}
	c, answer, err := websocket.DefaultDialer.DialContext(r.t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"/server/?hub="+hub, header)
	if answer == nil {
		r.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if err != nil {
		return answer.StatusCode
	}
	r.t.Cleanup(func() { _ = c.Close() })
	shake := serviceprotocol.Append(nil, &serviceprotocol.Message{Type: serviceprotocol.HandshakeRequest, Version: 1})
	if err := c.WriteMessage(websocket.BinaryMessage, shake); err != nil {
		r.t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode
}

func (r *running) negotiateAs(hub string) int {
	r.t.Helper()
	return r.do(http.MethodPost, "/client/negotiate?negotiateVersion=1&hub="+hub, "",
		"Authorization", "Bearer "+tokenFor(r.t, "http://hub/client/?hub="+hub, time.Now().Add(time.Minute))).StatusCode
}

// An application server with an access key of the program makes a hub by connecting. Clients and
// publishers find it.
func TestApplicationServersMakeHubs(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Interval, c.AccessKeyFile, c.MetricsAddr = 0, secretFile(t, accessKey), "127.0.0.1:0"
	})
	if got := r.negotiateAs("ChatHub"); got != http.StatusNotFound {
		t.Errorf("a client of a hub that does not exist: %d", got)
	}
	for range 2 {
		if got := r.connectServer("chathub"); got != http.StatusSwitchingProtocols {
			t.Fatalf("the server: %d", got)
		}
	}
	if got := r.negotiateAs("ChatHub"); got != http.StatusOK {
		t.Errorf("a client: %d", got)
	}
	publish := r.url + "/api/v1/hubs/chathub"
	r.publishWith("chathub", "news", "Authorization", "Bearer "+tokenFor(t, publish, time.Now().Add(time.Minute)))
	if n := strings.Count(r.log.String(), `msg="serving hub" hub=chathub`); n != 1 {
		t.Errorf("the hub was made %d times", n)
	}
	found := regexp.MustCompile(`msg="serving metrics" address=(\S+)`).FindStringSubmatch(r.log.String())
	awaitMetrics(t, "http://"+found[1]+"/metrics", `carillon_appserver_servers{hub="chathub"} 1`, `carillon_appserver_connections{hub="chathub"} 2`)
}

// The program's keys open no hub of the file that has keys of its own, or no application servers, and
// make none of another kind of name, and no more than the limit.
func TestHubsThatApplicationServersMayNotMake(t *testing.T) {
	own, silent, published := hubfile.New("own"), hubfile.New("silent"), hubfile.New("published")
	own.AccessKeyFile, silent.APIKeyFile = secretFile(t, strings.Repeat("other", 10)), secretFile(t, apiKey)
	own.Servers = &hubfile.Servers{Takeover: "asked"}
	r := start(t, func(c *Config) {
		withHubs(own, silent, published)(c)
		c.AccessKeyFile = secretFile(t, accessKey)
	})
	for name, want := range map[string]int{
		"own": http.StatusUnauthorized, "OWN": http.StatusUnauthorized, "silent": http.StatusUnauthorized,
		"published": http.StatusUnauthorized, "1": http.StatusServiceUnavailable, "a%2Fb": http.StatusServiceUnavailable,
	} {
		if got := r.connectServer(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	for i := range maxMade {
		if got := r.connectServer(fmt.Sprint("made", i)); got != http.StatusSwitchingProtocols {
			t.Fatalf("hub %d: %d", i, got)
		}
	}
	if got := r.connectServer("more"); got != http.StatusServiceUnavailable {
		t.Errorf("one more hub: %d", got)
	}
}
