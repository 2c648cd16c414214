package golden

import (
	"fmt"
	"regexp"
	"strings"
)

// named expands the texts that transcripts abbreviate by a name.
var named = strings.NewReplacer(
	"<closed>", "Connection closed with an error.",
	"<handshake>", "An unexpected error occurred during connection handshake.",
	"<bind>", "Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.",
	"<too-large>", "The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions.",
	`"<transports>"`, `[{"transport":"WebSockets","transferFormats":["Text","Binary"]},`+
		`{"transport":"ServerSentEvents","transferFormats":["Text"]},`+
		`{"transport":"LongPolling","transferFormats":["Text","Binary"]}]`,
)

// The patterns of the values that placeholders in answers stand for.
var (
	placeholder = regexp.MustCompile(`<(id|token|sid|n|jwt)\d*>`)
	shapes      = map[string]string{
		"id":    `([\w-]{22})`,
		"token": `([\w-]{22})`,
		"sid":   `([^"]+)`,
		"n":     `(\d+)`,
		"jwt":   `([\w-]+\.[\w-]+\.[\w-]+)`,
	}
)

// ownWords are texts after which a library of .NET describes an error in its own words. Any
// words match there.
var ownWords = []string{"JsonReaderException: ", "JsonException: ", "deserialize result to Int32."}

// match compares a received text with the recorded one, and stores the values at the
// placeholders. The answer of a negotiation always brings new values. In any other text a
// known placeholder must have its known value.
func (b *bindings) match(want, got string) error {
	text := named.Replace(want)
	fresh := strings.Contains(text, `"negotiateVersion":`) && strings.HasPrefix(text, "{")
	pattern, names := b.pattern(text, fresh)
	if pattern == nil {
		return same(text, got)
	}
	found := pattern.FindStringSubmatch(got)
	if found == nil {
		return differ(text, got)
	}
	for i, name := range names {
		b.note(name, found[i+1])
	}
	return nil
}

// pattern returns a regular expression for a text with placeholders, or nil if the text must
// match literally.
func (b *bindings) pattern(text string, fresh bool) (*regexp.Regexp, []string) {
	text, tail := openEnd(text)
	places := placeholder.FindAllStringSubmatchIndex(text, -1)
	if places == nil && tail == nil {
		return nil, nil
	}
	var expr strings.Builder
	var names []string
	expr.WriteString(`(?s)\A`)
	last := 0
	for _, at := range places {
		expr.WriteString(regexp.QuoteMeta(text[last:at[0]]))
		last = at[1]
		full, kind := text[at[0]+1:at[1]-1], text[at[2]:at[3]]
		if known, ok := b.values[full]; ok && !fresh {
			expr.WriteString(regexp.QuoteMeta(known))
			continue
		}
		expr.WriteString(shapes[kind])
		names = append(names, full)
	}
	expr.WriteString(regexp.QuoteMeta(text[last:]))
	if tail != nil {
		expr.WriteString(*tail)
	}
	expr.WriteString(`\z`)
	return regexp.MustCompile(expr.String()), names
}

// openEnd cuts a text at the place after which any words match. tail is the expression for
// the rest: in JSON the rest of that string and of the message.
func openEnd(text string) (head string, tail *string) {
	for _, marker := range ownWords {
		at := strings.Index(text, marker)
		if at < 0 {
			continue
		}
		at += len(marker)
		expr := `.*`
		if strings.HasPrefix(text, "{") {
			expr = `(?:[^"\\]|\\.)*` + regexp.QuoteMeta(text[at+restOfString(text[at:]):])
		}
		return text[:at], &expr
	}
	return text, nil
}

// restOfString returns the length of the rest of a JSON string, up to its closing quote.
func restOfString(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(s)
}

// same returns an error if two texts differ.
func same(want, got string) error {
	if want != got {
		return differ(want, got)
	}
	return nil
}

// differ returns an error that shows two texts around their first difference.
func differ(want, got string) error {
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	return fmt.Errorf("they differ at byte %d (lengths %d and %d):\n\twant %s\n\tgot  %s",
		at, len(want), len(got), around(want, at), around(got, at))
}

func around(s string, at int) string {
	const before, behind = 120, 160
	from, to := max(0, at-before), min(len(s), at+behind)
	return fmt.Sprintf("%s%q%s", ellipsis(from > 0), s[from:to], ellipsis(to < len(s)))
}

func ellipsis(cut bool) string {
	if cut {
		return "…"
	}
	return ""
}

// fill expands a shortened text to length bytes: it repeats the byte before the ….
func fill(short string, length int) string {
	head, tail, cut := strings.Cut(short, "…")
	if !cut {
		return short
	}
	return head + strings.Repeat(head[len(head)-1:], length-len(head)-len(tail)) + tail
}

// matchShort compares a received text with a shortened one.
func matchShort(short string, length int, got string) error {
	head, tail, _ := strings.Cut(short, "…")
	if len(got) != length || !strings.HasPrefix(got, head) || !strings.HasSuffix(got, tail) {
		return differ(fmt.Sprintf("%s…%s (length %d)", head, tail, length), got)
	}
	return nil
}
