package forwarded

import "strings"

// maxLine is the longest accepted line of Forwarded in bytes. Proxies write some 50 bytes
// each.
const maxLine = 8192

// parse parses a line of Forwarded (RFC 7239, 4). A malformed line has no elements, because
// an open quotation mark at its beginning changes the meaning of its end.
func parse(line string) (elements []hop, wellFormed bool) {
	if len(line) > maxLine {
		return nil, false
	}
	seen := map[string]bool{}
	var e hop
	for line != "" {
		name, value, rest, ok := pair(line)
		if !ok || name != "" && seen[name] {
			return nil, false
		}
		seen[name] = true
		e.set(name, value)
		if rest == "" || rest[0] == ',' {
			elements, e = append(elements, e), hop{}
			clear(seen)
		}
		if rest != "" {
			rest = rest[1:]
		}
		line = rest
	}
	return elements, true
}

func (h *hop) set(name, value string) {
	switch name {
	case "for":
		if client, ok := node(value); ok {
			h.client = client
		}
	case "proto":
		h.proto = scheme(value)
	case "host":
		h.host = host(value)
	}
}

// pair parses name=value. rest begins with the separator. The pair may be missing: the RFC
// allows empty elements.
func pair(text string) (name, value, rest string, ok bool) {
	end := strings.IndexAny(text, "=,;")
	if end < 0 {
		return "", "", "", strings.TrimSpace(text) == ""
	}
	name = strings.ToLower(strings.TrimSpace(text[:end]))
	if text[end] != '=' {
		return "", "", text[end:], name == ""
	}
	if value, rest, ok = valueOf(text[end+1:]); !ok || name == "" {
		return "", "", "", false
	}
	rest = strings.TrimLeft(rest, " \t")
	return name, value, rest, rest == "" || rest[0] == ',' || rest[0] == ';'
}

// valueOf parses a token or a quoted string.
func valueOf(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, " \t,;\"")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}
