package golden

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// headers returns the step's headers, which replace those of others with the same name. null
// removes a header.
func (b *bindings) headers(st Step, others []string, path string) ([]string, error) {
	given := value[map[string]*string](st, "headers")
	all := slices.DeleteFunc(slices.Clone(others), func(h string) bool {
		name, _, _ := strings.Cut(h, ":")
		_, replaced := given[name]
		return replaced
	})
	for name, v := range given {
		if v == nil {
			continue
		}
		text, err := b.expand(*v, hubPath(path))
		if err != nil {
			return nil, err
		}
		all = append(all, name+": "+text)
	}
	sort.Strings(all)
	return all, nil
}

func (b *bindings) body(st Step) ([]byte, error) {
	raw, ok := st["body"]
	switch {
	case st.has("bodyHex"):
		return hex.DecodeString(st.text("bodyHex"))
	case !ok:
		return nil, nil
	case raw[0] == '[':
		text, err := b.messages(value[[]json.RawMessage](st, "body"), "")
		return []byte(text), err
	case raw[0] == '"':
		return []byte(st.text("body")), nil
	}
	return raw, nil
}

// messages returns hub messages with their separators.
func (b *bindings) messages(list []json.RawMessage, hub string) (string, error) {
	var all strings.Builder
	for _, m := range list {
		text := string(m)
		if text == `"<alive?>"` {
			text = fmt.Sprintf(aliveQuestion, aliveMethod(hub))
		}
		text, err := b.expand(text, hub)
		if err != nil {
			return "", err
		}
		all.WriteString(text + "\x1e")
	}
	return all.String(), nil
}

// aliveQuestion and aliveAnswer test whether a connection is alive, in both protocols.
const (
	aliveQuestion = `{"type":1,"invocationId":"9","target":"%s","arguments":["alive"]}`
	aliveAnswer   = `{"type":3,"invocationId":"9","result":"alive"}`
	alivePacked   = "12960180a139a4%s91a5616c69766590"
)

// aliveMethod returns the name of the method that returns its argument.
func aliveMethod(hub string) string {
	if strings.HasPrefix(hub, "/lab") {
		return "Text"
	}
	return "Echo"
}
