package hubfile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every error names the file, the line and the key, and says what would be right.
func TestErrorsSayWhereAndWhatIsRight(t *testing.T) {
	chat := func(lines ...string) string {
		return "addr: :8080\nhubs:\n  chat:\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	for text, want := range map[string]string{
		chat("pth: /a"):                                      `:4: "hubs.chat.pth": there is no such setting; the nearest name is "path"`,
		chat("limits:", "  mesage-bytes: 1"):                 `:5: "hubs.chat.limits.mesage-bytes": there is no such setting; the nearest name is "message-bytes"`,
		chat("limits:", "  message-bytes: many"):             `:5: "hubs.chat.limits.message-bytes": the setting needs a whole number, such as 1000`,
		chat("limits:", "  message-bytes: 1.5"):              `:5: "hubs.chat.limits.message-bytes": the setting needs a whole number, such as 1000`,
		chat("limits: 5"):                                    `:4: "hubs.chat.limits": the setting has a number; it needs keys with values below it`,
		chat("limits:"):                                      `:4: "hubs.chat.limits": the setting has no value; it needs keys with values below it`,
		chat("path:"):                                        `:4: "hubs.chat.path": the setting has no value; it needs a text`,
		chat(`path: ""`):                                     `:4: "hubs.chat.path": the text is empty; remove the key for the default`,
		chat("path: [a]"):                                    `:4: "hubs.chat.path": the setting has a list; it needs a text`,
		chat("transports: WebSockets"):                       `:4: "hubs.chat.transports": the setting has a text; it needs a list, such as [a, b]`,
		chat("transports: [WebSocket]"):                      `:4: "hubs.chat.transports": "WebSocket" is not one of WebSockets, ServerSentEvents, LongPolling; the nearest is WebSockets`,
		chat("transports:", "- WebSockets", "- [a]"):         `:6: "hubs.chat.transports": the setting has a list; it needs WebSockets,ServerSentEvents,LongPolling`,
		chat("protocols: [json, msgpack]"):                   `:4: "hubs.chat.protocols": "msgpack" is not one of json, messagepack; the nearest is messagepack`,
		chat("detailed-errors: yes"):                         `:4: "hubs.chat.detailed-errors": the setting has a text; it needs true or false`,
		chat("timeouts: {client: 30}"):                       `:4: "hubs.chat.timeouts.client": the setting needs a time with its unit, such as 30s or 5m`,
		chat("timeouts: {client: 1ms}"):                      `:4: "hubs.chat.timeouts.client": the time must be at least 1s`,
		chat("events: {history: -1}"):                        `:4: "hubs.chat.events.history": the number must be at least 0`,
		chat("clients:", "  jwt:"):                           `:5: "hubs.chat.clients.jwt": the setting has no value; it needs keys with values below it`,
		chat("clients:", "  connect: {timeout: 1s}"):         `:5: "hubs.chat.clients.connect.url": the setting is missing`,
		chat("slow-consumers: {targets: {price: conflat}}"):  `:4: "hubs.chat.slow-consumers.targets.price": "conflat" is not one of disconnect, drop-newest, drop-oldest, conflate; the nearest is conflate`,
		chat("upstream:", "- url: http://a", "- urls: b"):    `:6: "hubs.chat.upstream[1].urls": there is no such setting; the nearest name is "url"`,
		chat("path: /a", "path: /b"):                         `:5: "hubs.chat.path": the setting is also in line 4`,
		chat("invoke: [*]"):                                  `:4: `,
		chat("invoke: [*a]"):                                 `:4: "hubs.chat.invoke": there is no anchor &a above; a text that begins with * needs quotes, such as "*"`,
		chat("path: !!str /a"):                               `:4: "hubs.chat.path": tags such as !!str have no meaning here`,
		chat("<<: 5"):                                        `:4: "hubs.chat": << merges mappings only, such as *name`,
		"hubs:\n":                                            `:1: "hubs": there is no hub; write its name`,
		"hubs: [chat]\n":                                     `:1: "hubs": there is no hub; write its name`,
		"hubs:\n  9lives: {}\n":                              `:2: "hubs.9lives": the name of a hub is a letter with letters`,
		"hubs:\n  chat: {}\n  Chat: {}\n":                    `:3: "hubs.Chat": the name differs from that of hub chat in case only`,
		"hubs:\n  chat: []\n":                                `:2: "hubs.chat": the setting has a list; it needs keys with values below it`,
		"addr: {a: b}\n":                                     `:1: "addr": a mapping (in JSON: an object) is no value of a setting`,
		"host: [a, [b]]\n":                                   `:1: "host": a list in a list is no value of a setting`,
		"addr: a\naddr: b\n":                                 `:2: "addr": the setting is also in line 1`,
		"jwt-key: a\njwt_key: b\n":                           `:2: "jwt_key": the setting is also in line 1`,
		"addr: a\n---\naddr: b\n":                            `:3: the file has a second YAML document; write all settings into one`,
		"- addr\n":                                           `:1: the file is not a mapping; write settings as key: value, one a line`,
		"# nothing\n":                                        `:1: the file is not a mapping; write settings as key: value, one a line`,
		"addr: a\n  path: b\n":                               `: not valid YAML: `,
		"addr: \"a\n":                                        `:1: not valid YAML: `,
		"{\"hubs\": {\"chat\": {\n\"pth\": \"/a\"}}}":        `:2: "hubs.chat.pth": there is no such setting; the nearest name is "path"`,
		"{\"hubs\": {\"chat\": {\"path\": 1,\n\"path\": 2}}": `:2: "hubs.chat.path": the setting is also in line 1`,
		"{\"hubs\": {\"chat\": {\n\"path\": nothing}}}":      `:2: "hubs.chat.path": invalid character`,
		"{\"hubs\": {\"chat\": {}}":                          `:1: the JSON object has no end`,
	} {
		if _, err := Parse("c.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "c.yaml"+want) && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// One reading names all errors of a file, up to a limit.
func TestAllErrorsAreNamedAtOnce(t *testing.T) {
	_, err := Parse("c", []byte("addr: {}\nhubs:\n  a: {pth: /a, limits: {conections: 1}}\n  b: {invoke: x}\n"))
	for _, want := range []string{`c:1: "addr"`, `c:3: "hubs.a.pth"`, `c:3: "hubs.a.limits.conections"`, `c:4: "hubs.b.invoke"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in %v", want, err)
		}
	}
	_, err = Parse("c", []byte("hubs:\n  a: {invoke: ["+strings.Repeat("[], ", 200)+"]}\n"))
	if lines := strings.Count(err.Error(), "\n"); lines != maxErrors || !strings.Contains(err.Error(), "there are more errors") {
		t.Errorf("%d lines: %v", lines, err)
	}
}

// YAML and JSON give the same settings.
func TestSettingsOfAFile(t *testing.T) {
	const yaml = `
addr: :8080
max-connections: 16  # a number keeps its digits
no-learning: true
host: [a, "b"]
x-base: &base {detailed-errors: true, invoke: [a]}
hubs:
  chat:
    <<: *base
    invoke: ["*"]
    clients: {jwt: {key-file: key.pem, max-lifetime: 1h}, tickets: 30s}
    slow-consumers: {targets: {price: Conflate}}
    upstream: [{url: "http://a/{event}"}]
    events: {history: 5}
  news: {}
`
	const json = `{"addr": ":8080", "max-connections": 16, "no-learning": true, "host": ["a", "b"],
		"hubs": {"chat": {"detailed-errors": true, "invoke": ["*"],
		"clients": {"jwt": {"key-file": "key.pem", "max-lifetime": "1h"}, "tickets": "30s"},
		"slow-consumers": {"targets": {"price": "Conflate"}},
		"upstream": [{"url": "http://a/{event}"}], "events": {"history": 5}}, "news": {}}}`
	chat, news := Hub{Name: "chat"}, Hub{Name: "news"}
	chat.setDefaults()
	news.setDefaults()
	chat.DetailedErrors, chat.Invoke = true, []string{"*"}
	chat.Clients = Clients{JWT: &JWT{KeyFile: "key.pem", UserClaim: "sub", Refresh: true, MaxLifetime: time.Hour}, Tickets: 30 * time.Second}
	chat.SlowConsumers.Targets = map[string]string{"price": "conflate"}
	chat.Upstream = []Upstream{{URL: "http://a/{event}"}}
	chat.Events.History = 5
	want := map[string]any{"addr": ":8080", "max-connections": "16", "no-learning": true, "host": []any{"a", "b"}}
	for name, text := range map[string]string{"YAML": yaml, "JSON": json} {
		f, err := Parse("c", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(f.Hubs, []Hub{chat, news}) {
			t.Errorf("%s: got %+v", name, f.Hubs)
		}
		for key, value := range want {
			if got := f.Settings[key].Value; !reflect.DeepEqual(got, value) {
				t.Errorf("%s: %s is %v, want %v", name, key, got, value)
			}
		}
	}
}

// A place is found by the path of its key, or by the nearest one above.
func TestLineOfAKey(t *testing.T) {
	f, err := Parse("c", []byte("hubs:\n  chat:\n    limits:\n      streams: 5\n    upstream:\n    - url: a\n    -\n      url: b\n  b: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{
		"hubs": 1, "hubs.chat": 2, "hubs.chat.path": 2, "hubs.chat.limits.streams": 4, "hubs.chat.upstream[1].url": 8,
		"hubs.chat.upstream[1].timeout": 8, "hubs.chat.upstream[9].url": 5, "hubs.b.clients.jwt.key-file": 9, "addr": 0,
	} {
		if got := f.Line(key); got != want {
			t.Errorf("%s: line %d, want %d", key, got, want)
		}
	}
}

// Nested aliases and merges cost a bounded time.
func TestAliasesAreBounded(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := range 20 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	many := strings.Repeat("x, ", 20_000)
	for name, text := range map[string]string{
		"laughs":  laughs.String() + "hubs: {chat: {invoke: *a20, upstream: *a20, path: *a20}}\n",
		"product": "a: &a [" + many + "]\nhubs: {chat: {upstream: [" + strings.Repeat("{url: x, events: *a}, ", 5000) + "]}}\n",
		"itself":  "hubs: &a {chat: *a}\n",
		"merges":  "a: &a {" + strings.ReplaceAll(many, "x, ", "k: 1, ") + "}\nhubs: {chat: {<<: [" + strings.Repeat("*a, ", 20_000) + "]}}\n",
		"lists":   strings.Repeat("[", MaxSize),
		"objects": strings.Repeat(`{"a":`, MaxSize/5),
		"flow":    "a: " + strings.Repeat("[", MaxSize-3),
		"blocks":  strings.Repeat("- ", MaxSize/2),
		"keys":    strings.Repeat("? ", MaxSize/2),
	} {
		if _, err := Parse(name, []byte(text)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := Read("c", strings.NewReader(strings.Repeat("#", MaxSize+1))); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "{}", "a: b", "hubs: {chat: {path: /a}}", "a: &a [b]\nc: *a", "a: &a {b: c}\nd: {<<: *a}", "a: |\n  b", "? a\n: b", "a: !!x b", `{"a": [1, true, null]}`, "%YAML 1.2\n---\na: b", "hubs:\n  chat:\n    limits: {streams: 5}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("c", []byte(text))
		if err != nil && !strings.HasPrefix(err.Error(), "c:") {
			t.Errorf("the error names no place: %v", err)
		}
		_ = file.Line("hubs.chat.path")
	})
}
