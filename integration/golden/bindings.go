package golden

import (
	"errors"
	"regexp"
	"strings"
)

// bindings are the values of placeholders that were seen, or made by a request to the server.
// The server's invocation ids are a stack: the latest one is answered first.
type bindings struct {
	addr   string // host:port
	values map[string]string
	sids   []string
}

func newBindings(addr string) *bindings {
	return &bindings{addr: addr, values: map[string]string{}}
}

func (b *bindings) note(name, value string) {
	switch name {
	case "sid":
		b.sids = append(b.sids, value)
	case "id", "token":
		b.values[name] = value
	}
}

var outgoing = regexp.MustCompile(`<(?:(id|token)\d*|sid|jwt of \w+|jwt with a wrong signature|jwt)>`)

// expand replaces the placeholders in a text to send by their values. For a token without a
// value it negotiates at the hub of that path.
func (b *bindings) expand(text, hub string) (string, error) {
	var failed error
	got := outgoing.ReplaceAllStringFunc(text, func(name string) string {
		v, err := b.placeholder(name[1:len(name)-1], hub)
		failed = errors.Join(failed, err)
		return v
	})
	return got, failed
}

func (b *bindings) placeholder(name, hub string) (string, error) {
	switch {
	case name == "sid":
		if len(b.sids) == 0 {
			return "", errors.New("no invocation id of the server came yet")
		}
		return b.sids[len(b.sids)-1], nil
	case strings.HasPrefix(name, "jwt"):
		return b.jwt(name)
	}
	if v, ok := b.values[name]; ok {
		return v, nil
	}
	if err := b.negotiate(hub, strings.TrimLeft(name, "idtoken")); err != nil {
		return "", err
	}
	return b.values[name], nil
}

// answered removes the invocation id that was just answered, if there are others.
func (b *bindings) answered(sent string) {
	if strings.Contains(sent, "<sid>") && len(b.sids) > 1 {
		b.sids = b.sids[:len(b.sids)-1]
	}
}
