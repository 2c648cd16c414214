package publish_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/protocol"
)

// FuzzBody publishes any body of every type. What is accepted reaches clients of both protocols
// as one message that they can read.
func FuzzBody(f *testing.F) {
	l := newLab(f, hosting.Options{})
	a, b := l.connect("a", "json", ""), l.connect("b", "messagepack", "")
	kinds := []string{"application/json", "application/x-msgpack", "application/octet-stream"}
	f.Add(0, []byte(news))
	f.Add(0, []byte(`{"target":"t","arguments":[{"a":[1.5,"é",null,true]}],"later":"\ud83d\ude00"}`))
	f.Add(1, []byte("\x82\xa6target\xa1t\xa9arguments\x92\x01\xc4\x01x"))
	f.Add(2, []byte(frames("json", sent)))
	f.Add(2, []byte(frames("messagepack", packed(f, "t", 1, "x", []byte{1}))))
	f.Add(2, []byte(frames("json", sent, "messagepack", packed(f, "news", 1))))
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		l := &lab{t: t, api: l.api}
		w := l.ask("POST", sendURL, string(body), "Content-Type", kinds[uint(kind)%3])
		for p, got := range map[protocol.HubProtocol]string{protocol.NewJSON(protocol.JSONOptions{}): a.received(), protocol.NewMessagePack(): b.received()} {
			if w.Code != http.StatusAccepted {
				if w.Code != http.StatusBadRequest || got != "" {
					t.Errorf("%d %s, and clients get %q", w.Code, w.Body, got)
				}
				continue
			}
			var m protocol.Message
			record, rest, err := p.Next([]byte(got), 0, 0)
			if err == nil {
				err = p.Parse(record, &m)
			}
			var arguments []any
			if err == nil {
				err = m.Outcome(p.Decode(m.Arguments, &arguments))
			}
			if err != nil || len(rest) > 0 || m.Type != protocol.Invocation || m.InvocationID != "" || m.Target == "" {
				t.Errorf("%v: clients of %s get %q", err, p.Name(), got)
			}
		}
	})
}

// FuzzURL asks for any path and query. Every answer of an error has its code, which ask checks.
func FuzzURL(f *testing.F) {
	l := newLab(f, hosting.Options{})
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE"}
	for i, url := range []string{
		"/api/hubs/chat/:send?" + version, "/api/v1/hubs/chat/groups/g%2Fh", "/api/hubs/chat/users/u/groups/g?ttl=1&" + version, "/api/health?" + version,
		"/api/hubs/chat/groups/g/connections?top=1&maxpagesize=1&" + version, "/api//", "/api/hubs/chat/groups/%FF/:send", "/api?a=%zz",
	} {
		f.Add(i, url)
	}
	f.Fuzz(func(t *testing.T, method int, url string) {
		r, err := http.NewRequest(methods[uint(method)%5], "http://example.com"+url, nil)
		if err != nil || !strings.HasPrefix(r.URL.Path, "/api") || r.Host != "example.com" || strings.ContainsFunc(url, func(c rune) bool { return c <= ' ' || c == '#' || c == 0x7f }) {
			t.Skip()
		}
		l := &lab{t: t, api: l.api}
		w := l.ask(r.Method, "http://example.com"+url, news)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", r.Method, url, w.Code, w.Body)
		}
	})
}
