package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/internal/testproc"
)

// withHubs returns a change of the settings that serves hubs in place of the clock.
func withHubs(hubs ...hubfile.Hub) func(*Config) {
	return func(c *Config) { c.Interval, c.Hubs = 0, hubs }
}

// secretFile returns a file with lines.
func secretFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listener is a client that notes the messages with the target news.
type listener struct {
	*client.HubConnection
	got chan string
}

func (r *running) listen(path string, o client.Options) *listener {
	r.t.Helper()
	o.Memory = client.NewMemory()
	l := &listener{client.New(r.url+path, o), make(chan string, 10)}
	l.On("news", client.Action1(func(_ context.Context, text string) error { l.got <- text; return nil }))
	if err := l.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = l.Stop(context.WithoutCancel(r.t.Context())) })
	return l
}

func (l *listener) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-l.got:
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("%q has not arrived", want)
	}
}

const apiKey = "an-api-key-of-at-least-32-characters"

func (r *running) publish(hub, text string) {
	r.t.Helper()
	r.publishWith(hub, text, "X-Api-Key", apiKey)
}

func (r *running) publishWith(hub, text string, header ...string) {
	r.t.Helper()
	answer := r.do(http.MethodPost, "/api/v1/hubs/"+hub, fmt.Sprintf(`{"target":"news","arguments":[%q]}`, text), append(header, "Content-Type", "application/json")...)
	if answer.StatusCode != http.StatusAccepted {
		r.t.Errorf("publishing to %s: %d", hub, answer.StatusCode)
	}
}

// Two hubs have clients of every transport, and a message reaches those of its hub alone.
func TestTwoHubs(t *testing.T) {
	chat, prices := hubfile.New("chat"), hubfile.New("prices")
	prices.Path = "/live/Prices"
	r := start(t, func(c *Config) {
		withHubs(chat, prices)(c)
		c.APIKeyFile = secretFile(t, apiKey)
	})
	var chats, others []*listener
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		o := client.Options{Transports: []client.Transport{transport}}
		chats, others = append(chats, r.listen("/Hubs/chat/", o)), append(others, r.listen("/live/prices", o))
	}
	for i := range 3 {
		r.publish("CHAT", fmt.Sprint("chat ", i))
		r.publish("prices", fmt.Sprint("prices ", i))
	}
	for i := range chats {
		for n := range 3 {
			chats[i].expect(t, fmt.Sprint("chat ", n))
			others[i].expect(t, fmt.Sprint("prices ", n))
		}
	}
	if err := chats[0].Invoke(t.Context(), "anything"); err == nil || !strings.Contains(err.Error(), "Method does not exist.") {
		t.Errorf("an invocation: %v", err)
	}
	for path, want := range map[string]int{"/": 404, "/assets/base.css": 404, "/hubs/clock": 404, "/hubs/chat/diagnose": 200, "/readyz": 200} {
		if got := r.do(http.MethodGet, path, "").StatusCode; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for _, line := range []string{"msg=\"serving hub\" hub=chat path=/hubs/chat clients=anonymous", "hub=prices path=/live/Prices", "msg=listening"} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log has no %q", line)
		}
	}
}

// With --api-addr the interface for publishing is at that address alone.
func TestPublishingAtAnAddressOfItsOwn(t *testing.T) {
	at := testproc.FreeAddress()
	r := start(t, func(c *Config) {
		withHubs(hubfile.New("chat"))(c)
		c.APIKeyFile, c.APIAddr = secretFile(t, apiKey), at
	})
	l := r.listen("/hubs/chat", client.Options{})
	if got := r.do(http.MethodPost, "/api/v1/hubs/chat", "{}", "X-Api-Key", apiKey).StatusCode; got != http.StatusNotFound {
		t.Errorf("at the address of clients: %d", got)
	}
	api := *r
	api.url = "http://" + at
	api.publish("chat", "hello")
	l.expect(t, "hello")
	for path, want := range map[string]int{"/API/v1/hubs/chat": 202, "/v1/hubs/chat": 404, "/hubs/chat": 404, "/": 404} {
		if got := api.do(http.MethodPost, path, `{"target":"news"}`, "X-Api-Key", apiKey, "Content-Type", "application/json").StatusCode; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if got := api.do(http.MethodPost, "/hubs/chat/negotiate?negotiateVersion=1", "").StatusCode; got != http.StatusNotFound {
		t.Errorf("a client at the address of publishers: %d", got)
	}
}

// The metrics of each hub have its name as a label, and the shutdown drains all hubs.
func TestHubsAreMeasuredAndDrained(t *testing.T) {
	banner := &lockedBuffer{}
	r := startWith(t, func(c *Config) {
		withHubs(hubfile.New("a"), hubfile.New("b"))(c)
		c.MetricsAddr, c.APIKeyFile = "127.0.0.1:0", secretFile(t, apiKey)
	}, func(s *Server) { s.Announce(banner) })
	for !strings.Contains(banner.String(), "Ctrl+C") {
		r.do(http.MethodGet, "/healthz", "") // the banner is printed beside this
	}
	r.listen("/hubs/a", client.Options{})
	r.listen("/hubs/b", client.Options{})
	urls := regexp.MustCompile(`http://\S+`).FindAllString(banner.String(), -1)
	for i, path := range []string{"/hubs/a", "/hubs/a/diagnose", "/hubs/b", "/hubs/b/diagnose", "/metrics"} {
		if len(urls) != 5 || !strings.HasSuffix(urls[i], path) {
			t.Fatalf("the banner has %q", urls)
		}
	}
	r.publish("a", "hello")
	r.publish("b", "hello")
	r.do(http.MethodPost, "/api/v1/hubs/a", "{}")
	r.do(http.MethodPost, "/api/v1/nothing", "{}")
	there := *r
	there.url = urls[4]
	metrics := text(t, there.do(http.MethodGet, "", ""))
	for _, want := range []string{`carillon_connections{hub="a"} 1`, `carillon_connections{hub="b"} 1`, `signalr_server_active_connections{hub="b",signalr_transport="web_sockets"} 1`, `carillon_refused_total{hub="a",limit="heads"} 0`,
		`carillon_publish_requests_total{operation="sendToAll",status="202"} 2`, `carillon_publish_requests_total{operation="sendToAll",status="401"} 1`, `carillon_publish_requests_total{operation="",status="404"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	r.ended <- nil
	if !strings.Contains(r.log.String(), "drained=2 cut=0") {
		t.Error(r.log)
	}
}

// A node of a cluster without Redis says that messages which are published stay on it.
func TestPublishingToOneNodeIsSaid(t *testing.T) {
	r := start(t, func(c *Config) {
		withHubs(hubfile.New("chat"))(c)
		c.APIKeyFile = secretFile(t, apiKey)
		c.ClusterAddr, c.ClusterPeers, c.ClusterSecretFile = testproc.FreeAddress(), []string{testproc.FreeAddress()}, secretFile(t, NewClusterSecret())
	})
	r.publish("chat", "hello")
	if !strings.Contains(r.log.String(), `level=WARN msg="publishing to one node"`) {
		t.Error(r.log)
	}
}

// Who may connect at the path of a hub follows from its settings.
func TestAdmissionOfHubs(t *testing.T) {
	keys := secretFile(t, strings.Repeat("k", 40))
	open, closed, opened, jwtHub := hubfile.New("open"), hubfile.New("closed"), hubfile.New("opened"), hubfile.New("jwt")
	open.APIKeyFile = secretFile(t, apiKey) // a key of its own: it has none of the program's
	opened.Clients.Anonymous = true
	jwtHub.Clients.JWT = &hubfile.JWT{KeyFile: keyFile(t), UserClaim: "sub", Refresh: true}
	r := start(t, func(c *Config) {
		withHubs(open, closed, opened, jwtHub)(c)
		c.AccessKeyFile = keys
	})
	for name, want := range map[string]int{"open": 200, "closed": 404, "opened": 200, "jwt": 401} {
		if got := r.do(http.MethodPost, "/hubs/"+name+"/negotiate?negotiateVersion=1", "").StatusCode; got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	redirected := signed(t, jwt.SigningMethodHS256, []byte(strings.Repeat("k", 40)), "", jwt.MapClaims{"aud": r.url + "/client/?hub=closed", "nameid": "ann", "exp": time.Now().Add(time.Hour).Unix()})
	for path, want := range map[string]int{"/client/": 200, "/Client/": 200, "/hubs/jwt/": 401} {
		if got := r.do(http.MethodPost, path+"negotiate?hub=Closed&negotiateVersion=1", "", "Authorization", "Bearer "+redirected).StatusCode; got != want {
			t.Errorf("a redirected client at %s: %d, want %d", path, got, want)
		}
	}
	l := r.listen("/client/?hub=closed", client.Options{AccessToken: func(context.Context) (string, error) { return redirected, nil }})
	r.publishWith("closed", "hello", "Authorization", "Bearer "+signed(t, jwt.SigningMethodHS256, []byte(strings.Repeat("k", 40)), "", jwt.MapClaims{"aud": r.url + "/api/v1/hubs/closed", "exp": time.Now().Add(time.Hour).Unix()}))
	l.expect(t, "hello")
	token := signed(t, jwt.SigningMethodHS256, secretKey, "", jwt.MapClaims{"sub": "a", "exp": time.Now().Add(time.Hour).Unix()})
	if got := r.do(http.MethodPost, "/hubs/jwt/negotiate?negotiateVersion=1", "", "Authorization", "Bearer "+token).StatusCode; got != 200 {
		t.Errorf("with a token: %d", got)
	}
}

// An event stream joins the groups that its query names and the file allows.
func TestGroupsOfEventStreams(t *testing.T) {
	h := hubfile.New("chat")
	h.Events.Groups, h.APIKeyFile = []string{"news", "city-*"}, secretFile(t, apiKey)
	r := start(t, withHubs(h))
	stream := bufio.NewReader(r.do(http.MethodGet, "/hubs/chat/events?group=staff&group=city-rome", "", "Accept", "text/event-stream").Body)
	next := func() string {
		for {
			line, err := stream.ReadString('\n')
			if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok || err != nil {
				return data
			}
		}
	}
	for _, group := range []string{"staff", "city-oslo", "city-rome"} {
		r.publish("chat/groups/"+group, "for "+group)
	}
	if got := next(); got != `["for city-rome"]` {
		t.Errorf("the first event is %s", got)
	}
	for query, want := range map[string][]string{
		"": nil, "group=news&group=city-rome&group=staff": {"news", "city-rome"}, "group=News": nil, "group=city-": {"city-"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/hubs/chat/events?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := groupsOf(request, h.Events.Groups); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
}

// Each setting of a hub reaches the options of its hub or of its endpoint.
func TestNoSettingOfAHubIsDead(t *testing.T) {
	elsewhere := []string{ // where a test shows the effect
		"path", "access-key-file", "api-key-file", // TestTwoHubs, TestAdmissionOfHubs
		"clients.jwt.key-file", "clients.jwt.jwks-url", "clients.jwt.issuer", "clients.jwt.audience", "clients.jwt.user-claim", // Config.tokens
		"clients.anonymous", "redis-hub", "upstream", "limits.upstream-requests",
		"clients.connect.url", "clients.connect.headers", "clients.connect.cookies", "clients.connect.timeout",
	}
	s := &Server{}
	shown := func(h hubfile.Hub) string {
		o := s.endpointOptions(&h)
		o.Policy = nil // has another address each time
		st := &site{settings: h}
		if err := st.authenticate(&o); err != nil {
			t.Fatal(err)
		}
		o.Authenticator = nil
		text := fmt.Sprintf("%+v %+v %s", hubOptions(&h), printable(o), o.PublicURL)
		if h.Servers != nil {
			text += fmt.Sprintf(" %+v", serversOptions(&h, nil))
		}
		return text
	}
	for key, change := range changes(t, "", reflect.TypeFor[hubfile.Hub]()) {
		if slices.Contains(elsewhere, key) {
			continue
		}
		h, changed := hubfile.New("chat"), hubfile.New("chat")
		if strings.HasPrefix(key, "clients.jwt.") {
			h.Clients.JWT, changed.Clients.JWT = &hubfile.JWT{}, &hubfile.JWT{}
		}
		if strings.HasPrefix(key, "servers.") {
			h.Servers, changed.Servers = &hubfile.Servers{}, &hubfile.Servers{}
		}
		change(reflect.ValueOf(&changed).Elem())
		if shown(h) == shown(changed) {
			t.Errorf("the setting %s has no effect", key)
		}
	}
}

// printable returns options without pointers to functions, whose addresses differ.
func printable(o endpoint.Options) endpoint.Options {
	if o.PublicURL != nil {
		o.PublicURL = nil
	}
	return o
}

// changes returns for the key of each setting below a struct a change of its value.
func changes(t *testing.T, path string, of reflect.Type) map[string]func(reflect.Value) {
	t.Helper()
	all := map[string]func(reflect.Value){}
	for i := range of.NumField() {
		f := of.Field(i)
		key := f.Tag.Get("key")
		if key == "" {
			continue
		}
		if path != "" {
			key = path + "." + key
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			for key, change := range changes(t, key, inner) {
				all[key] = func(v reflect.Value) { change(reflect.Indirect(v.Field(i))) }
			}
			continue
		}
		all[key] = func(v reflect.Value) { changeValue(t, v.Field(i), f.Tag.Get("enum")) }
	}
	return all
}

func changeValue(t *testing.T, v reflect.Value, enum string) {
	t.Helper()
	names := strings.Split(enum, ",")
	text := names[len(names)-1]
	if text == "" {
		text = "http://a.example"
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 12345)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(text)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{text}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"price": text}))
	default:
		t.Fatalf("a setting is a %s", v.Type())
	}
}

// A signal applies the keys and the origins of hubs, and names the settings that need a restart.
func TestReloadOfHubs(t *testing.T) {
	chat := hubfile.New("chat")
	chat.Clients.JWT = &hubfile.JWT{KeyFile: keyFile(t), UserClaim: "sub"}
	chat.APIKeyFile = secretFile(t, apiKey)
	r := &reloading{signal: make(chan os.Signal, 1)}
	r.running = startWith(t, func(c *Config) {
		withHubs(chat)(c)
		r.config = *c
	}, func(s *Server) {
		s.filesInterval = 5 * time.Millisecond
		s.Follow(Source{Settings: r.settings, Signal: r.signal, Level: &r.level})
	})
	negotiate := func(key []byte, origin string) int {
		token := signed(t, jwt.SigningMethodHS256, key, "", jwt.MapClaims{"sub": "a", "exp": time.Now().Add(time.Hour).Unix()})
		return r.do(http.MethodPost, "/hubs/chat/negotiate?negotiateVersion=1", "", "Authorization", "Bearer "+token, "Origin", origin).StatusCode
	}
	publish := func(key string) int {
		return r.do(http.MethodPost, "/api/v1/hubs/chat", `{"target":"news","arguments":[]}`, "Content-Type", "application/json", "X-Api-Key", key).StatusCode
	}
	newSecret, newKey := []byte(strings.Repeat("n", 40)), strings.Repeat("m", 40)
	keysInUse := secretFile(t, newKey)
	if a, b, c := negotiate(secretKey, r.url), negotiate(secretKey, "https://a.example"), publish(apiKey); a != 200 || b != 403 || c != 202 {
		t.Fatal(a, b, c)
	}
	r.change(reloaded, func(c *Config) {
		next := chat
		next.Clients.JWT = &hubfile.JWT{KeyFile: secretFile(t, string(newSecret)), UserClaim: "sub", Issuer: "me"}
		next.APIKeyFile, next.Origins = keysInUse, []string{"https://a.example"}
		next.Limits.Streams = 5
		c.Hubs = []hubfile.Hub{next, hubfile.New("other")}
	})
	if a, b, c, d := negotiate(newSecret, "https://a.example"), negotiate(secretKey, r.url), publish(newKey), publish(apiKey); a != 200 || b != 401 || c != 202 || d != 401 {
		t.Error(a, b, c, d)
	}
	for _, want := range []string{
		`changed="[hubs.chat.origins hubs.chat.clients.jwt.key-file hubs.chat.api-key-file]"`,
		`msg="settings need a restart" settings="[hubs.chat.clients.jwt.issuer hubs.chat.limits.streams hubs.other]"`,
	} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log has no %s\n%s", want, r.log)
		}
	}
	r.change(kept, func(c *Config) {
		c.Hubs = slices.Clone(c.Hubs)
		c.Hubs[0].APIKeyFile = secretFile(t, "short")
		c.Hubs[0].Origins = []string{"https://b.example"}
	})
	if a, b := negotiate(newSecret, "https://b.example"), publish(newKey); a != 403 || b != 202 {
		t.Error(a, b)
	}
	if !strings.Contains(r.log.String(), "hubs.chat.api-key-file: API key 1 has 5 bytes") {
		t.Error(r.log)
	} // A hub that is no longer in the file keeps the settings that the reload before has applied.
	r.change(reloaded, func(c *Config) { c.Hubs = []hubfile.Hub{hubfile.New("other")} })
	if a, b, c, d := negotiate(newSecret, "https://a.example"), negotiate(secretKey, r.url), publish(newKey), publish(apiKey); a != 200 || b != 401 || c != 202 || d != 401 {
		t.Error(a, b, c, d)
	}
	if want := `settings="[hubs.chat hubs.other]"`; !strings.Contains(r.log.String(), want) {
		t.Errorf("the log has no %s\n%s", want, r.log)
	}
	replace(t, keysInUse, []byte(strings.Repeat("l", 40)))
	r.await(func() bool { return publish(newKey) == 401 }, "new key of the hub that is no longer in the file")
}
