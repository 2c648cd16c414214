package gateway

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
	"github.com/carillon-go/carillon/protocol"
)

const otherAccessKey = "another-access-key-of-at-least-32-characters"

// withServers returns a change of the settings that serves hubs whose clients application servers
// answer.
func withServers(t *testing.T, names ...string) func(*Config) {
	var hubs []hubfile.Hub
	for _, name := range names {
		h := hubfile.New(name)
		h.Servers = &hubfile.Servers{Takeover: "off", Hold: 30 * time.Second}
		hubs = append(hubs, h)
	}
	return func(c *Config) {
		withHubs(hubs...)(c)
		c.AccessKeyFile = secretFile(t, accessKey)
	}
}

// textToken returns a token with these claims, as they are written.
func textToken(key, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// keyToken returns a token for an audience that is valid for a minute.
func keyToken(audience string) string {
	return textToken(accessKey, fmt.Sprintf(`{"nameid":"s","aud":%q,"exp":%d}`, audience, time.Now().Add(time.Minute).Unix()))
}

// appServer is an application server that keeps what it hears.
type appServer struct {
	t      *testing.T
	socket *websocket.Conn
	accept bool // it accepts the handshakes of clients

	mu    sync.Mutex
	heard []serviceprotocol.Message
	ended chan struct{} // closed when its connection has ended
}

// serve connects an application server of a hub, and waits for the answer to its handshake.
func (r *running) serve(hub string, accept bool) *appServer {
	r.t.Helper()
	s := r.dialServer(hub, accept)
	s.say(&serviceprotocol.Message{Type: serviceprotocol.HandshakeRequest, Version: 1})
	s.wait(func(m *serviceprotocol.Message) bool { return m.Type == serviceprotocol.HandshakeResponse })
	return s
}

func (r *running) dialServer(hub string, accept bool) *appServer {
	r.t.Helper()
	s := &appServer{t: r.t, socket: r.dialServerOnly(hub), accept: accept, ended: make(chan struct{})}
	go s.listen()
	r.t.Cleanup(func() {
		_ = s.socket.Close()
		<-s.ended
	})
	return s
}

// dialServerOnly opens a connection of an application server. It ends with the test.
func (r *running) dialServerOnly(hub string) *websocket.Conn {
	r.t.Helper()
	token := keyToken("http://host/server/?hub=" + hub)
	socket, answer, err := websocket.DefaultDialer.DialContext(r.t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"/server/?hub="+hub, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		r.t.Fatal(err)
	}
	_ = answer.Body.Close()
	r.t.Cleanup(func() { _ = socket.Close() })
	return socket
}

func (s *appServer) say(m *serviceprotocol.Message) {
	_ = s.socket.WriteMessage(websocket.BinaryMessage, serviceprotocol.Append(nil, m))
}

func (s *appServer) listen() {
	defer close(s.ended)
	framing := protocol.NewMessagePack()
	var rest []byte
	for {
		_, frame, err := s.socket.ReadMessage()
		if err != nil {
			return
		}
		rest = append(rest, frame...)
		for {
			record, after, err := framing.Next(rest, 0, 0)
			if err != nil || record == nil {
				break
			}
			var m serviceprotocol.Message
			if known, err := serviceprotocol.Parse(bytes.Clone(record), &m); known && err == nil {
				s.hear(m)
			}
			rest = after
		}
	}
}

func (s *appServer) hear(m serviceprotocol.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, m)
	if s.accept && m.Type == serviceprotocol.ConnectionData && bytes.Contains(m.Data, []byte(`"protocol":`)) {
		s.say(&serviceprotocol.Message{Type: serviceprotocol.ConnectionData, Connection: m.Connection, Data: []byte("{}\x1e")})
	}
}

// find returns the first message that is so.
func (s *appServer) find(is func(*serviceprotocol.Message) bool) *serviceprotocol.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.heard {
		if is(&s.heard[i]) {
			return &s.heard[i]
		}
	}
	return nil
}

// wait waits for a message that is so.
func (s *appServer) wait(is func(*serviceprotocol.Message) bool) *serviceprotocol.Message {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if m := s.find(is); m != nil {
			return m
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // polls what the listener hears
	}
	s.t.Fatal("the application server waited for a minute")
	return nil
}

// Each kind of token opens its own door of the program, for its own hub, and no other.
func TestEveryTokenAtEveryDoor(t *testing.T) {
	r := start(t, withServers(t, "chat", "news"))
	for _, hub := range []string{"chat", "news"} {
		r.serve(hub, true)
	}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	doors := map[string]struct {
		method, path, body string
		header             []string
		open               int
	}{
		"server":      {http.MethodGet, "/server/?hub=chat&cid=1", "", upgrade, http.StatusSwitchingProtocols},
		"negotiation": {http.MethodPost, "/client/negotiate?hub=chat&negotiateVersion=1", "", nil, http.StatusOK},
		"client":      {http.MethodGet, "/client/?hub=chat", "", upgrade, http.StatusSwitchingProtocols},
		"api":         {http.MethodPost, "/api/v1/hubs/chat", `{"target":"x","arguments":[]}`, []string{"Content-Type", "application/json"}, http.StatusAccepted},
	}
	until := time.Now().Add(time.Hour).Unix()
	tokens := map[string]struct {
		token string
		opens []string
	}{
		"server":                {keyToken("http://host/server/?hub=chat"), []string{"server"}},
		"server with a port":    {keyToken("https://other:81/server/?hub=chat"), []string{"server"}},
		"server of another hub": {keyToken("http://host/server/?hub=news"), nil},
		"server of a prefix":    {keyToken("http://host/server/?hub=cha"), nil},
		"server of all hubs":    {keyToken("http://host/server/"), nil},
		"server in upper case":  {keyToken("http://host/SERVER/?hub=chat"), nil},
		"client":                {keyToken("http://host/client/?hub=chat"), []string{"client", "negotiation"}},
		"client of another hub": {keyToken("http://host/client/?hub=news"), nil},
		"client of all hubs":    {keyToken("http://host/client/"), nil},
		"api":                   {keyToken("http://host/api/v1/hubs/chat"), []string{"api"}},
		"api of another hub":    {keyToken("http://host/api/v1/hubs/news"), nil},
		"another path":          {keyToken("http://host/serverclient/?hub=chat"), nil},
		"no audience":           {textToken(accessKey, fmt.Sprintf(`{"exp":%d}`, until)), nil},
		"two audiences":         {textToken(accessKey, fmt.Sprintf(`{"aud":["http://host/server/?hub=chat","http://host/client/?hub=chat"],"exp":%d}`, until)), nil},
		"expired":               {textToken(accessKey, `{"aud":"http://host/server/?hub=chat","exp":1}`), nil},
		"no end":                {textToken(accessKey, `{"aud":"http://host/server/?hub=chat"}`), nil},
		"another key":           {textToken(otherAccessKey, fmt.Sprintf(`{"aud":"http://host/server/?hub=chat","exp":%d}`, until)), nil},
		"the key itself":        {accessKey, nil},
	}
	for name, token := range tokens {
		for door, d := range doors {
			opens := slices.Contains(token.opens, door)
			answer := r.do(d.method, d.path, d.body, append(d.header, "Authorization", "Bearer "+token.token)...)
			if opens && answer.StatusCode != d.open || !opens && answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s token at %s: %d", name, door, answer.StatusCode)
			}
			_ = answer.Body.Close()
		}
	}

	server := tokens["server"].token
	for name, c := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"an origin":                   {"/server/?hub=chat", []string{"Authorization", "Bearer " + server, "Origin", "http://host"}, http.StatusForbidden},
		"an origin without a token":   {"/server/?hub=chat", []string{"Origin", "http://host"}, http.StatusForbidden},
		"a token in the query":        {"/server/?hub=chat&access_token=" + server, nil, http.StatusUnauthorized},
		"a token here and there":      {"/server/?hub=chat&access_token=" + server, []string{"Authorization", "Bearer " + tokens["client"].token}, http.StatusUnauthorized},
		"no token":                    {"/server/?hub=chat", nil, http.StatusUnauthorized},
		"a hub that it makes":         {"/server/?hub=none", []string{"Authorization", "Bearer " + keyToken("http://host/server/?hub=none")}, http.StatusSwitchingProtocols},
		"no hub":                      {"/server/", []string{"Authorization", "Bearer " + keyToken("http://host/server/")}, http.StatusUnauthorized},
		"a client's token in a query": {"/server/?hub=chat&access_token=" + tokens["client"].token, nil, http.StatusUnauthorized},
	} {
		answer := r.do(http.MethodGet, c.path, "", append(slices.Clone(upgrade), c.header...)...)
		if answer.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, answer.StatusCode, c.want)
		}
		for _, key := range []string{accessKey, server} {
			if strings.Contains(r.log.String(), key) {
				t.Errorf("%s: the log has a secret", name)
			}
		}
	}
}

// What the client's request and its token say reaches the application, and nothing that the SDK
// trusts, over each transport.
func TestRequestOfAClientAsTheApplicationSeesIt(t *testing.T) {
	r := start(t, withServers(t, "chat"))
	s := r.serve("chat", true)
	claims := fmt.Sprintf(`{"asrs.s.uid":"ann","role":["a","b"],"http://x/kind":"owner","big":12345678901234567,"yes":true,"no":false,"o":{"a": [1]},
		"asrs.u.exp":"mine","nbf":1,"iat":1,"iss":"azure-signalr","aud":"http://host/client/?hub=chat","exp":%d}`, time.Now().Add(time.Hour).Unix())
	wantClaims := []serviceprotocol.Claim{
		{Type: "asrs.s.uid", Value: "ann"}, {Type: "role", Value: "a"}, {Type: "role", Value: "b"}, {Type: "http://x/kind", Value: "owner"},
		{Type: "big", Value: "12345678901234567"}, {Type: "yes", Value: "true"}, {Type: "no", Value: "false"}, {Type: "o", Value: `{"a": [1]}`}, {Type: "asrs.u.exp", Value: "mine"},
	}
	for i, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		number := fmt.Sprint(i)
		o := client.Options{
			Transports: []client.Transport{transport}, Memory: client.NewMemory(),
			AccessToken: func(context.Context) (string, error) { return textToken(accessKey, claims), nil },
			Header: http.Header{
				"Asrs-Migrate-From": {"s"}, "asrs-instance-id": {"1"}, "X-ASRS-Server-Id": {"s"}, "x-asrs-anything": {"1"},
				"X-Forwarded-For": {"1.2.3.4", "5.6.7.8, 9.9.9.9"}, "Cookie": {"a=b"}, "Proxy-Authorization": {"Basic x"}, "Te": {"trailers"},
				"X-Number": {number}, "X-Many": {"1", "2"},
			},
		}
		c := client.New(r.url+"/client/?hub=chat&number="+number+"&text=a%20b&ID2=x&asrs_request_id=7", o)
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := s.wait(func(m *serviceprotocol.Message) bool {
			return m.Type == serviceprotocol.OpenConnection && slices.Equal(headerOf(m, "x-number"), []string{number})
		})
		if !slices.Equal(m.Claims, wantClaims) {
			t.Errorf("%s: claims %q", transport, m.Claims)
		}
		if want := "?number=" + number + "&text=a%20b&ID2=x&asrs_request_id=7"; strings.Split(m.Query, "&_=")[0] != want { // a poll has a number of its own
			t.Errorf("%s: query %q, want %q", transport, m.Query, want)
		}
		for _, h := range m.Headers {
			lower := strings.ToLower(h.Name)
			if strings.HasPrefix(lower, "asrs-") || strings.HasPrefix(lower, "x-asrs-") || slices.Contains([]string{"authorization", "cookie", "connection", "upgrade", "te", "proxy-authorization", "transfer-encoding", "host"}, lower) {
				t.Errorf("%s: header %s: %q", transport, h.Name, h.Values)
			}
		}
		if got := headerOf(m, "X-Forwarded-For"); !slices.Equal(got, []string{"127.0.0.1"}) {
			t.Errorf("%s: address %q", transport, got)
		}
		if got := headerOf(m, "X-Many"); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("%s: X-Many %q", transport, got)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// headerOf returns all values of a header, whose name ignores case.
func headerOf(m *serviceprotocol.Message, name string) (values []string) {
	for _, h := range m.Headers {
		if fold.Equal(h.Name, name) {
			values = append(values, h.Values...)
		}
	}
	return values
}
