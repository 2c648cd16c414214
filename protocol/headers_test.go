package protocol

import (
	"encoding/hex"
	"maps"
	"testing"
)

func TestHeadersOfInvocations(t *testing.T) {
	j, p := NewJSON(JSONOptions{}), NewMessagePack()
	headers := map[string]string{"b": "2", "a\"": "é\n"}
	for want, got := range map[string]func() ([]byte, error){
		`{"type":1,"headers":{"a\"":"é\n","b":"2"},"invocationId":"7","target":"T","arguments":[1],"streamIds":["s"]}` + "\x1e": func() ([]byte, error) {
			return j.AppendInvocation(nil, "7", "T", headers, []string{"s"}, 1)
		},
		`{"type":4,"headers":{"a\"":"é\n","b":"2"},"invocationId":"7","target":"T","arguments":[]}` + "\x1e": func() ([]byte, error) {
			return j.AppendStreamInvocation(nil, "7", "T", headers, nil)
		},
		"\x17\x96\x01\x82\xa2a\"\xa3é\n\xa1b\xa12\xa17\xa1T\x91\x01\x91\xa1s": func() ([]byte, error) {
			return p.AppendInvocation(nil, "7", "T", headers, []string{"s"}, 1)
		},
		"\x14\x96\x04\x82\xa2a\"\xa3é\n\xa1b\xa12\xa17\xa1T\x90\x90": func() ([]byte, error) {
			return p.AppendStreamInvocation(nil, "7", "T", headers, nil)
		},
	} {
		record, err := got()
		if string(record) != want || err != nil {
			t.Errorf("%q, %v; want %q", record, err, want)
		}
		var h HubProtocol = j
		if record[0] != '{' {
			h = p
		}
		var m Message
		body, _, err := h.Next(record, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Parse(body, &m); err != nil || !maps.Equal(m.Headers, headers) || m.Target != "T" {
			t.Errorf("%q: %v, %v", record, m.Headers, err)
		}
	}
}

func TestEmptyHeaders(t *testing.T) {
	p := NewMessagePack()
	for want, headers := range map[string]map[string]string{
		"InvalidDataException: Null or empty key in header.":   {"": "1"},
		"InvalidDataException: Null or empty value in header.": {"a": ""},
	} {
		if dst, err := p.AppendInvocation([]byte("before"), "", "T", headers, nil); err == nil || err.Error() != want || string(dst) != "before" {
			t.Errorf("%v: %s, %v", headers, dst, err)
		}
	}
	without, err := p.AppendInvocation(nil, "", "T", map[string]string{}, nil)
	if hex.EncodeToString(without) != "08960180c0a1549090" || err != nil {
		t.Errorf("%x, %v", without, err)
	}
	text, err := NewJSON(JSONOptions{}).AppendInvocation(nil, "", "T", map[string]string{"": ""}, nil)
	if string(text) != `{"type":1,"headers":{"":""},"target":"T","arguments":[]}`+"\x1e" || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}
