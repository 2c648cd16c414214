package golden

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed testdata/*.json
var testdata embed.FS

// A Case is one transcript: the client's actions and the answers that the server must give.
type Case struct {
	Name  string
	Note  string
	Steps []Step
}

// A Step is one line of a transcript. Its messages are as they are on the wire.
type Step map[string]json.RawMessage

func (st Step) has(key string) bool {
	_, ok := st[key]
	return ok
}

// value decodes a field of a step. A missing field is zero. value panics if the field cannot
// be decoded, because the transcripts are part of the program.
func value[T any](st Step, key string) T {
	var v T
	raw, ok := st[key]
	if !ok {
		return v
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		panic(fmt.Sprintf("transcript: %s %s: %v", key, raw, err))
	}
	return v
}

func (st Step) text(key string) string { return value[string](st, key) }

// on returns the name of the connection that a step concerns.
func (st Step) on() string { return st.text("on") }

// String returns a step, shortened for error messages.
func (st Step) String() string {
	raw, _ := json.Marshal(st)
	if len(raw) > 300 {
		raw = append(raw[:300], "…"...)
	}
	return string(raw)
}

// Transcripts are the files that Replay replays, in this order.
var Transcripts = []string{
	"negotiate", "http", "websocket", "handshake", "hub-json", "hub-msgpack", "client-results", "stateful", "time",
}

// load reads the cases of a file and adds the steps that the transcript leaves to the reader.
func load(file string) ([]Case, error) {
	var cases []Case
	if err := decode(file, &cases); err != nil {
		return nil, err
	}
	completions, err := completionsOf(file)
	if err != nil {
		return nil, err
	}
	for i := range cases {
		c := &cases[i]
		if full, ok := completions[c.Name]; ok {
			c.complete(full)
			delete(completions, c.Name)
		}
		c.Steps = append(opening(file, c.Steps), c.Steps...)
	}
	for name := range completions {
		return nil, fmt.Errorf("completed.json: no case %q in %s.json", name, file)
	}
	return cases, nil
}

func decode(file string, into any) error {
	raw, err := testdata.ReadFile("testdata/" + file + ".json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s.json: %w", file, err)
	}
	return nil
}

// A completion adds steps to a transcript: steps that were not recorded (Before), or that
// were only described (Steps, which replace the case's own).
type completion struct {
	File, Name, Note string
	Before, Steps    []Step
}

func completionsOf(file string) (map[string]completion, error) {
	var all []completion
	if err := decode("completed", &all); err != nil {
		return nil, err
	}
	of := map[string]completion{}
	for _, c := range all {
		if c.File == file {
			of[c.Name] = c
		}
	}
	return of, nil
}

func (c *Case) complete(full completion) {
	if full.Steps != nil {
		c.Steps = full.Steps
	}
	c.Steps = append(full.Before, c.Steps...)
}

// opening returns the first step of every case of a file. A case that opens a connection
// itself has none.
func opening(file string, steps []Step) []Step {
	for _, st := range steps {
		if (st.has("open") || st.has("websocket")) && st.on() == "" {
			return nil
		}
	}
	switch file {
	case "hub-json", "client-results":
		return []Step{{"open": quote("/testhub")}}
	case "hub-msgpack":
		return []Step{{"open": quote("/testhub"), "protocol": quote("messagepack")}}
	case "handshake":
		return []Step{{"websocket": quote("/lab?id=<token>")}}
	}
	return nil
}

func quote(s string) json.RawMessage {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return json.RawMessage(strings.TrimSpace(b.String()))
}
