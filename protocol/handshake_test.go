package protocol

import (
	"strings"
	"testing"
)

func TestHandshakeRequest(t *testing.T) {
	for record, want := range map[string]HandshakeRequest{
		`{"protocol":"json","version":1}`: {"json", 1},
		`{ "extra" : {"a":[1,{"b":null}]} , "version" : 1 , "protocol" : "json" , "more" : null }`: {"json", 1},
		`{"protocol":"foo","protocol":"JSON","version":9,"version":-1} x`:                          {"JSON", -1},
		`{"\u0070rotocol":"\u006dessagepack","version":2}`:                                         {"messagepack", 2},
	} {
		if got, err := ParseHandshakeRequest([]byte(record)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", record, got, err)
		}
	}
}

func TestHandshakeRequestFaults(t *testing.T) {
	at := func(reason string) string { return "JsonReaderException: " + reason }
	const format = "FormatException: Either the JSON value is not in a supported format, or is out of bounds for the Int32 type."
	for record, want := range map[string]string{
		``:                                 at("The input does not contain any JSON tokens. Expected the input to start with a valid JSON token, when isFinalBlock is true. LineNumber: 0 | BytePositionInLine: 0."),
		`hello`:                            at("'h' is an invalid start of a value. LineNumber: 0 | BytePositionInLine: 0."),
		"\xef\xbb\xbf{}":                   at("'0xEF' is an invalid start of a value. LineNumber: 0 | BytePositionInLine: 0."),
		`{"protocol":"json"`:               at("Expected depth to be zero at the end of the JSON payload. There is an open JSON object or array that should be closed. LineNumber: 0 | BytePositionInLine: 18."),
		`{"protocol":"json","version":1,}`: at("The JSON object contains a trailing comma at the end which is not supported in this mode. Change the reader options. LineNumber: 0 | BytePositionInLine: 31."),
		`{"protocol":"json",/* x */}`:      at(`'/' is an invalid start of a property name. Expected a '"'. LineNumber: 0 | BytePositionInLine: 19.`),
		`{"protocol":"json","x":[1,]}`:     at("The JSON array contains a trailing comma at the end which is not supported in this mode. Change the reader options. LineNumber: 0 | BytePositionInLine: 26."),
		`{"protocol":"json" "version":1}`:  at(`'"' is invalid after a value. Expected either ',', '}', or ']'. LineNumber: 0 | BytePositionInLine: 19.`),
		`{"protocol"}`:                     at("'}' is invalid after a property name. Expected a ':'. LineNumber: 0 | BytePositionInLine: 11."),
		`{"protocol":"json","version":1,"x":tru}`:   at("'tru}' is an invalid JSON literal. Expected the literal 'true'. LineNumber: 0 | BytePositionInLine: 38."),
		`{"protocol":"json","version":1,"x":01}`:    at("Invalid leading zero before '1'. LineNumber: 0 | BytePositionInLine: 36."),
		`{"protocol":"json","version":1,"x":"a\q"}`: at(`'q' is an invalid escapable character within a JSON string. The string should be correctly escaped. LineNumber: 0 | BytePositionInLine: 38.`),
		"\n\n {\"protocol\":x}":                     at("'x' is an invalid start of a value. LineNumber: 2 | BytePositionInLine: 13."),
		"{\"protocol\":\"a\tb\"}":                   at("'0x09' is invalid within a JSON string. The string should be correctly escaped. LineNumber: 0 | BytePositionInLine: 14."),
		`{/**/}`:                                    at(`'/' is invalid after a value. Expected either ',', '}', or ']'. LineNumber: 0 | BytePositionInLine: 1.`),
		`{"a":1`:                                    at("'1' is an invalid end of a number. Expected a delimiter. LineNumber: 0 | BytePositionInLine: 6."),
		`{"a":1.}`:                                  at("'}' is invalid within a number, immediately after a decimal point ('.'). Expected a digit ('0'-'9'). LineNumber: 0 | BytePositionInLine: 7."),
		`{"a":-x}`:                                  at("'x' is invalid within a number, immediately after a sign character ('+' or '-'). Expected a digit ('0'-'9'). LineNumber: 0 | BytePositionInLine: 6."),
		`{"a":[1}`:                                  at("'}' is invalid without a matching open. LineNumber: 0 | BytePositionInLine: 7."),
		`{"a":` + strings.Repeat("[", 64):           at("The maximum configured depth of 64 has been exceeded. Cannot read next JSON array. LineNumber: 0 | BytePositionInLine: 68."),
		`"x`:                                        at("Expected end of string, but instead reached end of data. LineNumber: 0 | BytePositionInLine: 2."),
		`[bad`:                                      "InvalidDataException: Unexpected JSON Token Type 'Array'. Expected a JSON Object.",
		`1`:                                         "InvalidDataException: Unexpected JSON Token Type 'Number'. Expected a JSON Object.",
		`{"protocol":null,"version":1}`:             "InvalidDataException: Expected 'protocol' to be of type String.",
		`{"version":"1","protocol":5}`:              "InvalidDataException: Expected 'version' to be of type Number.",
		`{"protocol":"json","version":1.0}`:         format,
		`{"protocol":"json","version":2147483648}`: format,
		`{"protocol":"json","version":null}`:       `InvalidDataException: Missing required property 'version'. Message content: {"protocol":"json","version":null}`,
		`{"type":6}`:                               `InvalidDataException: Missing required property 'protocol'. Message content: {"type":6}`,
		"{\"version\":1,\"x\":\"\xff\"}":           "InvalidDataException: Missing required property 'protocol'. Message content: {\"version\":1,\"x\":\"\uFFFD\"}",
		`{"protocol":"\ud800","version":1}`:        "InvalidOperationException: Cannot read incomplete UTF-16 JSON text as string with missing low surrogate.",
	} {
		if _, err := ParseHandshakeRequest([]byte(record)); text(err) != want {
			t.Errorf("%s: %v, want %s", record, err, want)
		}
	}
}

func TestHandshakeResponse(t *testing.T) {
	if got := string(AppendHandshakeRequest(nil, HandshakeRequest{"json", 1})); got != "{\"protocol\":\"json\",\"version\":1}\x1e" {
		t.Error(got)
	}
	for _, refusal := range []string{"", "The protocol '<\"é' is not supported."} {
		record, rest, err := NextHandshake(append(AppendHandshakeResponse(nil, refusal), 'x'), 0, 0)
		if err != nil || string(rest) != "x" {
			t.Fatal(string(record), string(rest), err)
		}
		if got, err := ParseHandshakeResponse(record); err != nil || got != refusal {
			t.Errorf("%s: %s, %v", record, got, err)
		}
	}
	for _, record := range []string{"", "[]", `{"error":1}`, `{"type":7}`, `{"error":"x"`} {
		if got, err := ParseHandshakeResponse([]byte(record)); err == nil {
			t.Errorf("%s: %s", record, got)
		}
	}
}

func TestNextHandshake(t *testing.T) {
	const limit = 10
	for size, want := range map[int]string{9: "", 10: "", 11: ErrHandshakeTooLong.Error()} {
		if _, _, err := NextHandshake([]byte(strings.Repeat("x", size)), 0, limit); text(err) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, _, err := NextHandshake([]byte(strings.Repeat("x", size-1)+"\x1e"), 0, limit); text(err) != want {
			t.Errorf("%d bytes with a separator: %v", size, err)
		}
	}
}
