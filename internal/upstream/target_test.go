package upstream

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTemplatesAreCheckedWhenTheyAreRead(t *testing.T) {
	for text, ok := range map[string]bool{
		"http://host/{hub}/{category}/{event}":     true,
		"https://host:8443/api/{event}/":           true,
		"http://host":                              true,
		"http://[::1]:80/{event}":                  true,
		"http://user:secret@host/{event}":          true,
		"http://host/runtime?code=a%2Fb&x={event}": false,
		"http://host/?code=abc":                    true,
		"http://host/a%20b/{event}":                true,
		"http://host/a b/{event}":                  false,
		"http://host/ü/{event}":                    false,
		"http://{event}/":                          false,
		"http://{hub}.example.com/":                false,
		"http://host:{event}/":                     false,
		"{event}://host/":                          false,
		"http://{event}@host/":                     false,
		"http://user:{event}@host/":                false,
		"http://host/?{event}":                     false,
		"http://host/?a={hub}":                     false,
		"http://host/#{event}":                     false,
		"http://host/a#b":                          false,
		"http://host/on-{event}":                   false,
		"http://host/{event}{hub}":                 false,
		"http://host/{target}":                     false,
		"http://host/{Event}":                      false,
		"http://host{event}":                       false,
		"http://host\\{event}":                     false,
		"//host/{event}":                           false,
		"http:///{event}":                          false,
		"http://:80/{event}":                       false,
		"http:host/{event}":                        false,
		"ftp://host/":                              false,
		"unix:/tmp/socket":                         false,
		"/path":                                    false,
		"":                                         false,
	} {
		target, err := parseTarget(text)
		if (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes a secret: %v", text, err)
		}
		if err == nil {
			if u, err := target.url("chat", "messages", "Say"); err != nil || strings.ContainsAny(u.String(), "{}") {
				t.Errorf("%s: %v, %v", text, u, err)
			}
		}
	}
}

func TestEventIsOneSegment(t *testing.T) {
	target, err := parseTarget("http://user:p@host:81/a%2Fb/{hub}/{category}/{event}?code=x%3D")
	if err != nil {
		t.Fatal(err)
	}
	for event, want := range map[string]string{
		"Say":                    "Say",
		"{hub}":                  "%7Bhub%7D",
		"a b+c":                  "a%20b%2Bc",
		"100%":                   "100%25",
		"%2e%2e":                 "%252e%252e",
		"a?b#c;d&e=f@g:h":        "a%3Fb%23c%3Bd%26e%3Df%40g%3Ah",
		"...":                    "...",
		"schön":                  "sch%C3%B6n",
		"":                       "",
		".":                      "",
		"..":                     "",
		"../x":                   "",
		"a/b":                    "",
		`a\b`:                    "",
		"a\x00b":                 "",
		"a\r\nb":                 "",
		"a\u0085b":               "",
		"a\xffb":                 "",
		strings.Repeat("a", 256): strings.Repeat("a", 256),
		strings.Repeat("a", 257): "",
	} {
		u, err := target.url("c[1]", "messages", event)
		if want == "" {
			if err == nil {
				t.Errorf("%q: %s, want an error", event, u)
			}
			continue
		}
		if want = "http://user:p@host:81/a%2Fb/c%5B1%5D/messages/" + want + "?code=x%3D"; err != nil || u.String() != want {
			t.Errorf("%q: %v, %v, want %s", event, u, err, want)
		}
	}
}

func TestFirstTemplateThatMatchesGetsTheEvent(t *testing.T) {
	s := Settings{Templates: []Template{
		{URL: "http://a/", Categories: []string{"connections"}, Events: []string{"connected"}},
		{URL: "http://b/", Events: []string{"Say", "shout"}},
		{URL: "http://c/", Categories: []string{"messages"}, Events: []string{"room.*"}},
		{URL: "http://d/", Categories: []string{"messages", "connections"}, Events: []string{"*"}},
		{URL: "http://e/"},
	}}
	p, errs := s.compile("chat")
	if errs != nil {
		t.Fatal(errs[0])
	}
	for event, want := range map[[2]string]string{
		{"connections", "connected"}:    "a",
		{"messages", "connected"}:       "d",
		{"messages", "Say"}:             "b",
		{"messages", "SHOUT"}:           "b",
		{"messages", "Room.Join"}:       "c",
		{"connections", "disconnected"}: "d",
		{"others", "x"}:                 "e",
	} {
		if r := p.find(event[0], event[1]); r == nil || r.base.Host != want {
			t.Errorf("%v goes to %v, want %q", event, r, want)
		}
	}
}

func TestSettingsThatAreNotValidAreNamed(t *testing.T) {
	ok := []Template{{URL: "http://a/"}}
	for key, s := range map[string]Settings{
		"":                         {Templates: ok, Connect: &Connect{URL: "http://a/{hub}", Headers: []string{"Authorization"}, Cookies: []string{"__Host-s"}}},
		"upstream[1].url":          {Templates: append(ok, Template{URL: "127.0.0.1:80/x"})},
		"upstream[2].url":          {Templates: append(ok, ok[0], Template{URL: "http://a:65536"})},
		"upstream[0].format":       {Templates: []Template{{URL: "http://a/", Format: "xml"}}},
		"upstream[0].timeout":      {Templates: []Template{{URL: "http://a/", Timeout: time.Hour}}},
		"limits.upstream-requests": {MaxRequests: -1},
		"clients.connect.url":      {Connect: &Connect{URL: "http://a/{event}"}},
		"clients.connect.timeout":  {Connect: &Connect{URL: "http://a/", Timeout: -1}},
		"clients.connect.headers":  {Connect: &Connect{URL: "http://a/", Headers: []string{"cookie"}}},
		"clients.connect.cookies":  {Connect: &Connect{URL: "http://a/", Cookies: []string{"a b"}}},
	} {
		if errs := s.Check("chat"); (len(errs) == 1) != (key != "") || len(errs) > 0 && errs[0].Key != key {
			t.Errorf("%q: %v", key, errs)
		}
	}
}

func FuzzEventInURL(f *testing.F) {
	for _, event := range []string{"Say", "..", "%2e%2e%2f", "a/../b", "{event}", "@evil", "\r\n", "é", "?", "#", "//evil/", `\\evil\`, ";a=b", ":80"} {
		f.Add(event)
	}
	target, err := parseTarget("http://user@host:81/api/{hub}/{event}?code=1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, event string) {
		made, err := target.url("chat", "messages", event)
		if err != nil {
			return
		}
		u, err := url.Parse(made.String())
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme != "http" || u.Host != "host:81" || u.User.String() != "user" || u.RawQuery != "code=1" || u.Fragment != "" {
			t.Errorf("%q changes the URL: %s", event, u)
		}
		segments := strings.Split(u.EscapedPath(), "/")
		if len(segments) != 4 || segments[2] != "chat" || segments[3] == "." || segments[3] == ".." {
			t.Fatalf("%q is not one segment: %s", event, u)
		}
		if back, err := url.PathUnescape(segments[3]); err != nil || back != event || strings.ContainsAny(back, `/\`) {
			t.Errorf("%q comes back as %q: %v", event, back, err)
		}
	})
}
