package golden

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed testdata/*.json
var testdata embed.FS

// A Case is one transcript: what is done to the server, and what it has to answer.
type Case struct {
	Name  string
	Note  string
	Steps []Step
}

// A Step is one line of a transcript. Messages stand in it as they are on the wire.
type Step map[string]json.RawMessage

func (st Step) has(key string) bool {
	_, ok := st[key]
	return ok
}

// value decodes a field of a step; a missing one is zero. The transcripts are part of the program: what cannot be decoded
// is a mistake in it.
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

// on names the connection that a step is about.
func (st Step) on() string { return st.text("on") }

// String shows a step as short as a message about it needs.
func (st Step) String() string {
	raw, _ := json.Marshal(st)
	if len(raw) > 300 {
		raw = append(raw[:300], "…"...)
	}
	return string(raw)
}

// Transcripts are the files that Replay knows, in the order in which it takes them.
var Transcripts = []string{
	"negotiate", "http", "websocket", "handshake", "hub-json", "hub-msgpack", "client-results", "stateful", "time",
}

// load reads the cases of a file, completed where the transcript leaves steps to the reader.
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

// A completion tells what a transcript leaves to its reader: steps that were not recorded (Before), or told in words only
// (Steps, instead of the case's own).
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

// opening is the step that every case of a file begins with where it does not say so itself.
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
