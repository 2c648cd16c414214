package publish_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/protocol"
)

// Every path has its methods, and no others.
func TestMethods(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
	for _, row := range []struct{ path, allowed, allowedV1 string }{
		{"/health", "GET, HEAD", "GET, HEAD"},
		{"/hubs/chat", "", "POST"},
		{"/hubs/chat/:send", "POST", ""},
		{"/hubs/chat/:closeConnections", "POST", ""},
		{"/hubs/chat/:generateToken", "POST", ""},
		{"/hubs/chat/:execute", "", ""},
		{"/hubs/chat/groups/g", "GET, HEAD", "POST, GET, HEAD"},
		{"/hubs/chat/groups/g/:send", "POST", ""},
		{"/hubs/chat/groups/g/:closeConnections", "POST", ""},
		{"/hubs/chat/groups/g/connections", "GET, HEAD", ""},
		{"/hubs/chat/groups/g/connections/a", "PUT, DELETE", "PUT, DELETE"},
		{"/hubs/chat/connections/a/groups/g", "PUT, DELETE", "PUT, DELETE"},
		{"/hubs/chat/connections/a/groups", "DELETE", ""},
		{"/hubs/chat/connections/a", "DELETE, GET, HEAD", "POST, DELETE, GET, HEAD"},
		{"/hubs/chat/connections/a/:send", "POST", ""},
		{"/hubs/chat/connections/a/:invoke", "POST", ""},
		{"/hubs/chat/connections/a/streams/s/:send", "", ""},
		{"/hubs/chat/users/u", "GET, HEAD", "POST, GET, HEAD"},
		{"/hubs/chat/users/u/:send", "POST", ""},
		{"/hubs/chat/users/u/:closeConnections", "POST", ""},
		{"/hubs/chat/users/u/groups", "DELETE", "DELETE"},
		{"/hubs/chat/users/u/groups/g", "GET, HEAD, PUT, DELETE", "GET, HEAD, PUT, DELETE"},
		{"/hubs/chat/groups/g/users/u", "GET, HEAD, PUT, DELETE", "GET, HEAD, PUT, DELETE"},
		{"/auth/accessKey", "", ""},
		{"/hubs", "", ""},
		{"/hubs/", "", ""},
		{"", "", ""},
		{"/hubs/chat/groups//:send", "", ""},
		{"/hubs/chat/groups/a/b/:send", "", ""},
	} {
		for root, allowed := range map[string]string{"/api": row.allowed, "/api/v1": row.allowedV1} {
			if allowed == "" {
				for _, method := range methods {
					l.want(http.StatusNotFound, "Error.Request.NotExisted", method, root+row.path+"?"+version, "")
				}
				continue
			}
			for _, method := range methods {
				if strings.Contains(", "+allowed+",", ", "+method+",") {
					continue
				}
				if w := l.want(http.StatusMethodNotAllowed, "Error.Request.MethodNotAllowed", method, root+row.path+"?"+version, ""); w.Header().Get("Allow") != allowed {
					t.Errorf("%s allows %q; want %q", root+row.path, w.Header().Get("Allow"), allowed)
				}
			}
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	l.want(http.StatusBadRequest, "MissingApiVersionParameter", "POST", "/api/hubs/chat/:send", news)
	for _, query := range []string{"api-version=", "api-version=2021-01-01", "api-version=1.0", "api-version=2022-06-01&api-version=2022-06-01"} {
		l.want(http.StatusBadRequest, "UnsupportedApiVersionValue", "POST", "/api/hubs/chat/:send?"+query, news)
	}
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", "/api/hubs/chat/:send?"+version+"&%zz", news)
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", "/api/hubs/chat/groups/%FF/:send?"+version, news)
	for _, v := range []string{"2022-06-01", "2022-11-01", "2024-12-01"} {
		l.want(http.StatusAccepted, "", "POST", "/api/hubs/chat/:send?api-version="+v, news)
		l.want(http.StatusOK, "", "HEAD", "/api/health?api-version="+v, "", "X-Api-Key", "")
	}
	l.want(http.StatusOK, "", "HEAD", "/api/v1/health", "", "X-Api-Key", "")
}

func TestHubsAndNames(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	const other = "/api/hubs/other/:send?application=App&" + version
	l.want(http.StatusAccepted, "", "POST", other, news, "X-Api-Key", otherKey)
	l.want(http.StatusUnauthorized, "Error.Request.Unauthorized", "POST", other, news)
	l.want(http.StatusUnauthorized, "Error.Request.Unauthorized", "POST", "/api/hubs/chat/:send?"+version, news, "X-Api-Key", otherKey)

	for _, hub := range []string{"none", "0", "a%20b", strings.Repeat("a", 129)} {
		url := "/api/hubs/" + hub + "/:send?" + version
		l.want(http.StatusNotFound, "Error.Hub.NotExisted", "POST", url, news)
		l.want(http.StatusNotFound, "Error.Hub.NotExisted", "POST", url, news, "X-Api-Key", otherKey)
		l.want(http.StatusUnauthorized, "Error.Request.Unauthorized", "POST", url, news, "X-Api-Key", "")
	}
	l.want(http.StatusAccepted, "", "POST", "/API/Hubs/Chat/:SEND?"+version, news)
	l.want(http.StatusAccepted, "", "POST", "/API/Hubs/Chat/:SEND?"+version, news, "X-Api-Key", "", "Authorization", l.sign("http://example.com/API/Hubs/Chat/:SEND"))
	l.want(http.StatusNotFound, "Error.Request.NotExisted", "POST", "/api/api/hubs/chat/:send?"+version, news)
	send := func(status int, group string) {
		t.Helper()
		l.want(status, "", "POST", "/api/hubs/chat/groups/"+group+"/:send?"+version, news)
	}
	send(http.StatusAccepted, strings.Repeat("%C3%A9", 1024))
	send(http.StatusBadRequest, strings.Repeat("%C3%A9", 1025))
	send(http.StatusBadRequest, "%20%09")
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "PUT", "/api/hubs/chat/groups/%20/connections/a?"+version, "")
	excluded := strings.Repeat("&excluded=a", 1000)
	l.want(http.StatusAccepted, "", "POST", "/api/hubs/chat/:send?"+version+excluded, news)
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", "/api/hubs/chat/:send?"+version+excluded+"&excluded=b", news)
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "DELETE", "/api/hubs/chat/connections/a?reason=a&reason=b&"+version, "")
}

const sendURL = "/api/hubs/chat/:send?" + version

func TestBodiesOfJSON(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	a, b := l.connect("a", "json", ""), l.connect("b", "messagepack", "")
	for body, want := range map[string]string{
		`{"target":"t","arguments":[{"z":1,"a":12345678901234567890},1.0,1e400,"é\u00e9<>"]}`: `{"type":1,"target":"t","arguments":[{"z":1,"a":12345678901234567890},1.0,1e400,"é\u00e9<>"]}`,
		`{"Target":"t","Arguments":[9007199254740993]}`:                                       `{"type":1,"target":"t","arguments":[9007199254740993]}`,
		`{ "arguments" : [ ] , "target" : "t" , "later" : { } }`:                              `{"type":1,"target":"t","arguments":[]}`,
		`{"target":"t"}`:                    `{"type":1,"target":"t","arguments":[]}`,
		`{"target":"t","arguments":null}`:   `{"type":1,"target":"t","arguments":[]}`,
		`{"target":"t","arguments":[null]}`: `{"type":1,"target":"t","arguments":[null]}`,
	} {
		for _, kind := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\"", ""} {
			l.want(http.StatusAccepted, "", "POST", sendURL, body, "Content-Type", kind)
			a.want(want + "\x1e")
		}
	}
	b.received()
	l.want(http.StatusAccepted, "", "POST", sendURL, `{"target":"t","arguments":[9007199254740993,1.5,"x"]}`)
	a.received()
	b.want(packed(t, "t", int64(9007199254740993), 1.5, "x"))
	for _, body := range []string{
		``, ` `, `null`, `[]`, `"t"`, `{`, `{}`, `{"target":""}`, `{"target":null}`, `{"target":1}`, `{"target":"t","arguments":{}}`, `{"target":"t","arguments":1}`,
		`{"target":"t","arguments":[1,]}`, `{"target":"t"}{}`, `{"target":"t","arguments":[NaN]}`, `{"target":"t","arguments":[01]}`,
		"{\"target\":\"t\",\"arguments\":[\"\xff\"]}", `{"target":"t","arguments":["\ud800"]}`, "{\"target\":\"t\",\"arguments\":[\"\n\"]}", "\xef\xbb\xbf" + news,
		`{"target":"t","arguments":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
	} {
		l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, body)
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json", "a/b; c", "application/xml"} {
		l.want(http.StatusUnsupportedMediaType, "Error.Request.UnsupportedMediaType", "POST", sendURL, news, "Content-Type", kind)
	}
	a.want("")
}

// packed returns the frame of an invocation in MessagePack.
func packed(t testing.TB, target string, args ...any) string {
	t.Helper()
	f, err := protocol.NewMessagePack().AppendInvocation(nil, "", target, nil, nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return string(f)
}

func TestBodiesOfMessagePack(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	a, b := l.connect("a", "json", ""), l.connect("b", "messagepack", "")
	const kind = "application/x-msgpack"
	pack := func(target string, args ...any) []byte {
		body := msgp.AppendString(msgp.AppendMapHeader(nil, 2), "target")
		body = msgp.AppendString(msgp.AppendString(body, target), "Arguments")
		body, err := msgp.AppendIntf(body, args)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	body := string(pack("t", uint64(1<<63), "x", []byte{1}, map[string]any{"A": int64(1)}))
	l.want(http.StatusAccepted, "", "POST", sendURL, body, "Content-Type", kind)
	a.want(`{"type":1,"target":"t","arguments":[9223372036854775808,"x","AQ==",{"A":1}]}` + "\x1e")
	b.want(packed(t, "t", uint64(1<<63), "x", []byte{1}, protocol.Raw{Protocol: "messagepack", Data: []byte("\x81\xa1A\x01")}))

	for _, malformed := range []string{
		"", "\xc0", "\x80", body[:len(body)-1], body + "\x00", string(pack("")),
		string(msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "arguments"), "x")),
		string(msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "target"), 1)),
		string(msgp.AppendInt(msgp.AppendInt(msgp.AppendMapHeader(nil, 1), 1), 1)),
		string(pack("t", math.NaN())),
		"\xdf\xff\xff\xff\xff", "\x82\xa6target\xa1t\xa9arguments\xdd\xff\xff\xff\xff",
		"\x82\xa6target\xa1t\xa9arguments" + strings.Repeat("\x91", 600) + "\xc0",
	} {
		l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, malformed, "Content-Type", kind)
	}
	a.want("")
	b.want("")
}

// frames returns a body with the frames of protocols, in this order: a name, a frame.
func frames(pairs ...string) string {
	body := msgp.AppendMapHeader(nil, uint32(len(pairs)/2))
	for i := 0; i < len(pairs); i += 2 {
		body = msgp.AppendBytes(msgp.AppendString(body, pairs[i]), []byte(pairs[i+1]))
	}
	return string(body)
}

func TestBodiesOfFrames(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	a, b := l.connect("a", "json", "u", "g"), l.connect("b", "messagepack", "u", "g")
	const kind = "application/octet-stream"
	inJSON, inPack := `{ "type":1, "target":"t", "arguments":[ {"someName":1} ] }`+"\x1e", packed(t, "t", map[string]any{"SomeName": 1})
	for _, path := range []string{"", "/users/u", "/groups/g"} {
		url := "/api/hubs/chat" + path + "/:send?" + version
		l.want(http.StatusAccepted, "", "POST", url, frames("json", inJSON, "messagepack", inPack, "later", "x"), "Content-Type", kind)
		a.want(inJSON)
		b.want(inPack)
	}
	for id, c := range map[string]*client{"a": a, "b": b} {
		l.want(http.StatusAccepted, "", "POST", "/api/hubs/chat/connections/"+id+"/:send?"+version, frames("messagepack", inPack, "json", inJSON), "Content-Type", kind)
		c.want(map[string]string{"a": inJSON, "b": inPack}[id])
	}
	l.want(http.StatusAccepted, "", "POST", sendURL, frames("messagepack", packed(t, "t", 1)), "Content-Type", kind)
	a.want(`{"type":1,"target":"t","arguments":[1]}` + "\x1e")
	b.want(packed(t, "t", 1))
	l.want(http.StatusAccepted, "", "POST", sendURL, frames("json", inJSON), "Content-Type", kind)
	a.want(inJSON)
	b.want(packed(t, "t", map[string]any{"someName": int64(1)}))

	for _, malformed := range []string{
		"", "\x80", frames("later", inJSON), frames("json", ""), frames("json", strings.TrimSuffix(inJSON, "\x1e")), frames("json", inJSON+inJSON),
		frames("json", `{"type":6}`+"\x1e"), frames("json", `{"type":1,"target":"","arguments":[]}`+"\x1e"), frames("json", `{"type":1,"target":"t","arguments":[1,]}`+"\x1e"),
		frames("json", `{"type":1,"target":"t","arguments":["\ud800"]}`+"\x1e"), frames("json", "{\"type\":1,\"target\":\"t\",\"arguments\":[\"\xff\"]}\x1e"),
		frames("json", `{"type":1,"target":"t","arguments":[1]} x`+"\x1e"), frames("json", `{"type":1,"target":"t"}`+"\x1e"),
		frames("json", `{"type":1,"invocationId":"1","target":"t","arguments":[]}`+"\x1e"), frames("json", `{"type":1,"target":"t","arguments":[],"streamIds":["1"]}`+"\x1e"),
		frames("json", inJSON, "messagepack", packed(t, "other", 1)), frames("json", inJSON, "messagepack", packed(t, "t")),
		frames("messagepack", inPack[:len(inPack)-1]), frames("messagepack", inPack+"\x00"), frames("messagepack", "\x02\x91\x06"), frames("messagepack", "\x00"),
		frames("json", inJSON) + "\x00", "\x81\xa4json\xc6\xff\xff\xff\xff", "\x81\xa4json\xa1x",
	} {
		l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, malformed, "Content-Type", kind)
	}
	a.want("")
	b.want("")
}

// A body of many small values would take a hundred times its size in memory.
func TestNumbersOfValues(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	l.connect("a", "json", "")
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }
	array := func(n int) string { return string(msgp.AppendArrayHeader(nil, uint32(n))) + strings.Repeat("\xc0", n) }
	pairs := func(n int) string {
		body := msgp.AppendMapHeader(nil, uint32(n))
		for i := range n - 1 {
			body = msgp.AppendBytes(msgp.AppendString(body, strconv.Itoa(i)), []byte("x"))
		}
		return string(body)
	}
	const pack, octets = "application/x-msgpack", "application/octet-stream"
	for _, c := range []struct {
		kind string
		most int
		body func(n int) string
	}{
		{"application/json", 1000, func(n int) string { return `{"target":"t","arguments":` + list(n) + `}` }},
		{pack, 1000, func(n int) string { return "\x82\xa6target\xa1t\xa9arguments" + array(n) }},
		{octets, 1000, func(n int) string { return frames("json", `{"type":1,"target":"t","arguments":`+list(n)+"}\x1e") }},
		{octets, 1000, func(n int) string { return frames("messagepack", packed(t, "t", make([]any, n)...)) }},
		{pack, 100, func(n int) string { return pairs(n) + "\xa6target\xa1t" }},
		{octets, 100, func(n int) string {
			return pairs(n) + strings.TrimPrefix(frames("messagepack", packed(t, "t")), "\x81")
		}},
	} {
		l.want(http.StatusAccepted, "", "POST", sendURL, c.body(c.most), "Content-Type", c.kind)
		w := l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, c.body(c.most+1), "Content-Type", c.kind)
		if !strings.Contains(w.Body.String(), "more than") {
			t.Errorf("%s: %s", c.kind, w.Body)
		}
	}
	// The first of two lists is not decoded either.
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", sendURL, frames("json", `{"type":1,"target":"t","arguments":`+list(100_000)+`,"arguments":[1]}`+"\x1e"), "Content-Type", octets)
}

// unknownLength hides the length of a body.
type unknownLength struct{ io.Reader }

func TestSizesOfBodies(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	const most = 1 << 20
	text := func(size int) string {
		const head, foot = `{"target":"t","arguments":["`, `"]}`
		return head + strings.Repeat("a", size-len(head)-len(foot)) + foot
	}
	for size, want := range map[int]int{most: http.StatusAccepted, most + 1: http.StatusRequestEntityTooLarge} {
		l.want(want, "", "POST", sendURL, text(size))
		r := httptest.NewRequest("POST", sendURL, unknownLength{strings.NewReader(text(size))})
		r.Header.Set("X-Api-Key", apiKey)
		w := httptest.NewRecorder()
		l.api.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d bytes in chunks are answered %d %s", size, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("POST", sendURL, io.MultiReader(strings.NewReader(`{"target"`), failing{}))
	r.Header.Set("X-Api-Key", apiKey)
	w := httptest.NewRecorder()
	if l.api.ServeHTTP(w, r); w.Code != http.StatusBadRequest {
		t.Errorf("a body that breaks off is answered %d", w.Code)
	}
	r = httptest.NewRequest("POST", sendURL, failing{}) // a stranger's body is not read
	w = httptest.NewRecorder()
	if l.api.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
		t.Errorf("a body without credentials is answered %d", w.Code)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the link broke") }

// A page of another site cannot read answers, and browsers ask before they send X-Api-Key.
func TestNoCORS(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	for _, method := range []string{"OPTIONS", "POST"} {
		w := l.ask(method, sendURL, news, "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "POST")
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s has %s", method, name)
			}
		}
	}
}

func TestASlowBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, hosting.Options{})
		client := hubtest.HTTPClient(t, l.api)
		rest, w := io.Pipe()
		defer w.Close()
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://example.com"+sendURL, io.MultiReader(strings.NewReader("{"), rest))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = int64(len(news))
		r.Header.Set("X-Api-Key", apiKey)
		began := time.Now()
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if took := time.Since(began); answer.StatusCode != http.StatusRequestTimeout || took != 30*time.Second {
			t.Errorf("the answer after %v is %s", took, answer.Status)
		}
	})
}
