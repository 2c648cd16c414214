package golden

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// A Value is one value of values.json with its encodings in both protocols. Long encodings
// are shortened with ….
type Value struct {
	Name          string
	JSON, MsgPack string
}

// ReplayValues requests every value of values.json from /lab's method Value, in both
// protocols.
func ReplayValues(t *testing.T, baseURL string) {
	t.Helper()
	var values []Value
	if err := decode("values", &values); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		t.Run("json/"+v.Name, func(t *testing.T) {
			t.Parallel()
			check(t, baseURL, v.askJSON)
		})
		t.Run("messagepack/"+v.Name, func(t *testing.T) {
			skip(t, "values", v.Name)
			t.Parallel()
			check(t, baseURL, v.askMessagePack)
		})
	}
}

func check(t *testing.T, baseURL string, ask func(*session) error) {
	t.Helper()
	s, err := newSession(baseURL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if err := ask(s); err != nil {
		t.Error(err)
	}
}

func (v Value) askJSON(s *session) error {
	if err := s.open(Step{"open": quote("/lab")}, nil); err != nil {
		return err
	}
	p := s.peers[""]
	call := fmt.Sprintf(`{"type":1,"invocationId":"1","target":"Value","arguments":[%q]}`+"\x1e", v.Name)
	if err := p.frame(opText, []byte(call)); err != nil {
		return err
	}
	got, err := p.message("")
	if err != nil {
		return err
	}
	want := `{"type":3,"invocationId":"1","result":` + v.JSON
	if end, ok := strings.CutPrefix(v.JSON, "the connection ends: "); ok {
		want = end
	} else if !strings.Contains(want, "…") {
		want += "}"
	}
	return sameUpTo(want, got)
}

func (v Value) askMessagePack(s *session) error {
	if err := s.open(Step{"open": quote("/lab"), "protocol": quote("messagepack")}, nil); err != nil {
		return err
	}
	p := s.peers[""]
	arguments := "91" + hex.EncodeToString([]byte{0xA0 + byte(len(v.Name))}) + hexOf(v.Name)
	call, err := s.known.packedBytes("**960180a131a5"+hexOf("Value")+arguments+"90", p.hub, 0)
	if err != nil {
		return err
	}
	if err := p.frame(opBinary, []byte(call)); err != nil {
		return err
	}
	got, err := p.packed(time.Now().Add(patience))
	if err != nil {
		return err
	}
	message := hexOf(got)
	at := strings.Index(message, "950380a13103")
	if at < 0 {
		return fmt.Errorf("no completion with a result: %s", readable(got))
	}
	return sameUpTo("950380a13103"+v.MsgPack, message[at:])
}

// sameUpTo compares a text with one that may be shortened at its end.
func sameUpTo(want, got string) error {
	head, _, cut := strings.Cut(want, "…")
	if cut && strings.HasPrefix(got, head) || want == got {
		return nil
	}
	return differ(want, got)
}

// ReplayEscapes sends every character of the BMP, and some others, through /lab's method
// Text, and compares their encoding with json-escapes.json.
func ReplayEscapes(t *testing.T, baseURL string) {
	t.Helper()
	rules, err := loadEscapes()
	if err != nil {
		t.Fatal(err)
	}
	const step = 0x1000 // a message must be shorter than 32768 bytes, at six bytes per character
	for from := rune(0); from < 0x10000; from += step {
		t.Run(fmt.Sprintf("U+%04X", from), func(t *testing.T) {
			t.Parallel()
			check(t, baseURL, func(s *session) error { return rules.ask(s, runes(from, from+step)) })
		})
	}
	t.Run("beyond the BMP", func(t *testing.T) {
		t.Parallel()
		check(t, baseURL, func(s *session) error {
			return rules.ask(s, []rune{0x10000, 0x1F600, 0x20000, 0xE0001, 0xFFFFF, 0x10FFFF})
		})
	})
}

// runes returns the characters of a range, without surrogates.
func runes(from, to rune) []rune {
	var all []rune
	for r := from; r < to; r++ {
		if !utf16.IsSurrogate(r) {
			all = append(all, r)
		}
	}
	return all
}

// escapes states how each code unit is written in a JSON string.
type escapes struct {
	Named   map[string]rune
	Escaped []string

	units map[rune]string
}

func loadEscapes() (*escapes, error) {
	var e escapes
	if err := decode("json-escapes", &e); err != nil {
		return nil, err
	}
	e.units = map[rune]string{}
	for _, span := range e.Escaped {
		first, last, ok := strings.Cut(span, "-")
		if !ok {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 16, 16)
		to, err2 := strconv.ParseUint(last, 16, 16)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		for u := from; u <= to; u++ {
			e.units[rune(u)] = fmt.Sprintf(`\u%04X`, u)
		}
	}
	for text, unit := range e.Named {
		e.units[unit] = text
	}
	return &e, nil
}

func (e *escapes) write(r rune) string {
	if high, low := utf16.EncodeRune(r); r >= 0x10000 {
		return fmt.Sprintf(`\u%04X\u%04X`, high, low)
	}
	if text, ok := e.units[r]; ok {
		return text
	}
	return string(r)
}

func (e *escapes) ask(s *session, text []rune) error {
	if len(text) == 0 {
		return nil
	}
	if err := s.open(Step{"open": quote("/lab")}, nil); err != nil {
		return err
	}
	var sent, back strings.Builder
	for _, r := range text {
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&sent, `\u%04x`, unit)
		}
		back.WriteString(e.write(r))
	}
	call := Step{"send": json.RawMessage(`[{"type":1,"invocationId":"1","target":"Text","arguments":["` + sent.String() + `"]}]`)}
	if err := s.peers[""].send(call, nil); err != nil {
		return err
	}
	got, err := s.peers[""].message("")
	if err != nil {
		return err
	}
	return sameUpTo(`{"type":3,"invocationId":"1","result":"`+back.String()+`"}`, got)
}
