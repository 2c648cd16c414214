package upstream

import (
	"net/url"
	"strings"
	"testing"
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
		{URL: "http://a/", Hubs: "other"},
		{URL: "http://b/", Categories: "connections", Events: "connected"},
		{URL: "http://c/", Events: "Say, shout"},
		{URL: "http://d/", Hubs: "one,chat", Categories: "messages", Events: "*"},
	}}
	p, err := s.compile("chat")
	if err != nil {
		t.Fatal(err)
	}
	for event, want := range map[[3]string]string{
		{"chat", "messages", "Say"}:            "c",
		{"chat", "messages", "SHOUT"}:          "c",
		{"Chat", "messages", "whisper"}:        "d",
		{"two", "messages", "whisper"}:         "",
		{"OTHER", "messages", "Say"}:           "a",
		{"chat", "connections", "connected"}:   "b",
		{"chat", "messages", "connected"}:      "d",
		{"chat", "connections", "disconected"}: "",
	} {
		got := ""
		if r := p.find(event[0], event[1], event[2]); r != nil {
			got = r.base.Host
		}
		if got != want {
			t.Errorf("%v goes to %q, want %q", event, got, want)
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
