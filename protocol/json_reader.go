package protocol

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// maxDepth is System.Text.Json's limit for nested arrays and objects. maxDepthOption is
// the largest limit in JSONOptions, a bound for recursion.
const maxDepth, maxDepthOption = 64, 10_000

// jsonReader reads JSON text without decoding it. It is as strict as System.Text.Json's
// Utf8JsonReader: no comments, no trailing commas. Text within strings is checked only
// where it is decoded.
//
// Its errors are [*syntaxError]. After an error the reader's position is the invalid
// byte; a comma before that byte has been passed.
type jsonReader struct {
	data  []byte
	pos   int
	depth int32
	outer int32 // depth of the surrounding text
	most  int32 // limit for the nesting of arrays and objects; 0: maxDepth
}

// syntaxError corresponds to a JsonReaderException of Utf8JsonReader.
type syntaxError struct {
	reason string
	data   []byte
	pos    int
}

func (e *syntaxError) Error() string {
	before := e.data[:e.pos]
	line := bytes.Count(before, []byte{'\n'})
	column := e.pos - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Sprintf("%s LineNumber: %d | BytePositionInLine: %d.", e.reason, line, column)
}

func (r *jsonReader) fail(reason string) error {
	return &syntaxError{reason: reason, data: r.data, pos: r.pos}
}

// failAt returns an error for the byte at the reader's position.
func (r *jsonReader) failAt(reason string) error {
	if r.pos >= len(r.data) {
		return r.fail("Expected depth to be zero at the end of the JSON payload. There is an open JSON object or array that should be closed.")
	}
	return r.fail(visible(r.data[r.pos]) + " " + reason)
}

func visible(c byte) string {
	if c < ' ' || c >= 0x7f {
		return fmt.Sprintf("'0x%02X'", c)
	}
	return "'" + string(rune(c)) + "'"
}

// peek skips white space and returns the next byte, or 0 at the end.
func (r *jsonReader) peek() byte {
	for ; r.pos < len(r.data); r.pos++ {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end returns an error if data remains.
func (r *jsonReader) end() error {
	if r.peek(); r.pos < len(r.data) {
		return r.failAt("is invalid after a single JSON value. Expected end of data.")
	}
	return nil
}

// enter reads the bracket that peek returned.
func (r *jsonReader) enter() error {
	if r.isDeepest() {
		kind := "array"
		if r.data[r.pos] == '{' {
			kind = "object"
		}
		return r.fail(fmt.Sprintf("The maximum configured depth of %d has been exceeded. Cannot read next JSON %s.", cmp.Or(r.most, maxDepth), kind))
	}
	r.depth++
	r.pos++
	return nil
}

func (r *jsonReader) isDeepest() bool {
	if r.most == 0 {
		return r.depth >= maxDepth
	}
	return r.depth >= r.most
}

func (r *jsonReader) leave() {
	r.depth--
	r.pos++
}

// element moves to the next element of the entered array. At the end it reads the bracket
// and returns false.
func (r *jsonReader) element(first bool) (bool, error) {
	c := r.peek()
	if c == ']' {
		r.leave()
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, r.noComma(c)
	}
	r.pos++
	switch r.peek() {
	case ']':
		return false, r.fail("The JSON array contains a trailing comma at the end which is not supported in this mode. Change the reader options.")
	case ',':
		return false, r.failAt("is an invalid start of a value.")
	}
	return true, nil
}

// property moves to the value of the next property of the entered object and returns its
// name, still escaped. At the end of the object it reads the bracket and returns false.
func (r *jsonReader) property(first bool) (name []byte, escaped, more bool, err error) {
	c := r.peek()
	if c == '}' {
		r.leave()
		return nil, false, false, nil
	}
	if !first {
		if c != ',' {
			return nil, false, false, r.noComma(c)
		}
		r.pos++
		if c = r.peek(); c == '}' {
			return nil, false, false, r.fail("The JSON object contains a trailing comma at the end which is not supported in this mode. Change the reader options.")
		}
	}
	if c != '"' {
		return nil, false, false, r.noName(c, first)
	}
	if name, escaped, err = r.text(); err != nil {
		return nil, false, false, err
	}
	if r.peek() != ':' {
		return nil, false, false, r.failAt("is invalid after a property name. Expected a ':'.")
	}
	r.pos++
	return name, escaped, true, nil
}

func (r *jsonReader) noComma(c byte) error {
	if c == ']' || c == '}' {
		return r.failAt("is invalid without a matching open.")
	}
	return r.failAt(noComma)
}

const noComma = "is invalid after a value. Expected either ',', '}', or ']'."

func (r *jsonReader) noName(c byte, first bool) error {
	if first && c == '/' { // Utf8JsonReader has a check for comments here
		return r.failAt(noComma)
	}
	return r.failAt("is an invalid start of a property name. Expected a '\"'.")
}

// plain are the bytes without a special meaning within a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// passPlain returns the first index from i on of a byte that is not plain, or the end. It
// checks eight bytes at a time: meaning has a bit set in the lowest byte that is not
// plain, if there is one.
func passPlain(data []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		b := binary.LittleEndian.Uint64(data[i:])
		quote, backslash := b^'"'*ones, b^'\\'*ones
		meaning := ((b-' '*ones)&^b | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
		if meaning != 0 {
			return i + bits.TrailingZeros64(meaning)/8
		}
	}
	for i < len(data) && plain[data[i]] {
		i++
	}
	return i
}

// text reads the string at the reader's position and returns its inside, still escaped.
func (r *jsonReader) text() (inside []byte, escaped bool, err error) {
	start := r.pos + 1
	for i := passPlain(r.data, start); i < len(r.data); i = passPlain(r.data, r.pos) {
		c := r.data[i]
		if c == '"' {
			r.pos = i + 1
			return r.data[start:i], escaped, nil
		}
		r.pos = i
		if c != '\\' {
			return nil, false, r.failAt("is invalid within a JSON string. The string should be correctly escaped.")
		}
		escaped = true
		if err := r.escape(); err != nil {
			return nil, false, err
		}
	}
	r.pos = len(r.data)
	return nil, false, r.fail(endInString)
}

const endInString = "Expected end of string, but instead reached end of data."

// escape reads the escape sequence at the reader's position.
func (r *jsonReader) escape() error {
	r.pos++
	if r.pos >= len(r.data) {
		return r.fail(endInString)
	}
	switch r.data[r.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.pos++
		return nil
	case 'u':
		r.pos++
		for range 4 {
			if r.pos >= len(r.data) {
				return r.fail(endInString)
			}
			if _, ok := hexDigit(r.data[r.pos]); !ok {
				return r.failAt("is not a hex digit following '\\u' within a JSON string. The string should be correctly escaped.")
			}
			r.pos++
		}
		return nil
	}
	return r.failAt("is an invalid escapable character within a JSON string. The string should be correctly escaped.")
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// number reads the number at the reader's position and returns its text.
func (r *jsonReader) number() ([]byte, error) {
	start := r.pos
	r.pass('-', '-')
	if err := r.whole(); err != nil {
		return nil, err
	}
	if r.pass('.', '.') {
		if err := r.digits("decimal point ('.')"); err != nil {
			return nil, err
		}
	}
	if r.pass('e', 'E') {
		r.pass('+', '-')
		if err := r.digits(afterSign); err != nil {
			return nil, err
		}
	}
	return r.data[start:r.pos], r.endOfNumber()
}

func (r *jsonReader) endOfNumber() error {
	at := r.pos
	if at == len(r.data) && r.depth > r.outer {
		at--
	} else if at == len(r.data) || delimits(r.data[at]) {
		return nil
	}
	return r.fail(visible(r.data[at]) + " is an invalid end of a number. Expected a delimiter.")
}

// pass reads one of two bytes if it is next.
func (r *jsonReader) pass(a, b byte) bool {
	if r.pos < len(r.data) && (r.data[r.pos] == a || r.data[r.pos] == b) {
		r.pos++
		return true
	}
	return false
}

// whole reads the digits before the point. Leading zeros are an error.
func (r *jsonReader) whole() error {
	if !r.pass('0', '0') {
		return r.digits(afterSign)
	}
	if r.pos < len(r.data) && '0' <= r.data[r.pos] && r.data[r.pos] <= '9' {
		return r.fail("Invalid leading zero before " + visible(r.data[r.pos]) + ".")
	}
	return nil
}

const afterSign = "sign character ('+' or '-')"

// digits reads one or more digits.
func (r *jsonReader) digits(after string) error {
	start := r.pos
	for r.pos < len(r.data) && '0' <= r.data[r.pos] && r.data[r.pos] <= '9' {
		r.pos++
	}
	switch {
	case r.pos > start:
		return nil
	case r.pos >= len(r.data):
		return r.fail("Expected a digit ('0'-'9'), but instead reached end of data.")
	}
	return r.failAt("is invalid within a number, immediately after a " + after + ". Expected a digit ('0'-'9').")
}

func delimits(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\n', '\r', '/':
		return true
	}
	return false
}

func (r *jsonReader) literal(word string) error {
	rest := r.data[r.pos:]
	if len(rest) > len(word) {
		rest = rest[:len(word)]
	}
	if string(rest) == word {
		r.pos += len(word)
		return nil
	}
	for i := 0; i < len(rest) && rest[i] == word[i]; i++ {
		r.pos++
	}
	return r.fail("'" + string(rest) + "' is an invalid JSON literal. Expected the literal '" + word + "'.")
}

// token reads one scalar, or only checks the bracket that begins an array or object. That
// is as far as Utf8JsonReader reads to determine the type of a value.
func (r *jsonReader) token() (kind byte, err error) {
	switch c := r.peek(); c {
	case '{', '[':
		if r.isDeepest() {
			return c, r.enter()
		}
		return c, nil
	case '"':
		_, _, err = r.text()
		return c, err
	case 't':
		return c, r.literal("true")
	case 'f':
		return c, r.literal("false")
	case 'n':
		return c, r.literal("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		_, err = r.number()
		return '0', err
	}
	return 0, r.failAt("is an invalid start of a value.")
}

// tokenNames are the names in System.Text.Json's JsonTokenType for the kinds returned by token.
var tokenNames = [256]string{'{': "StartObject", '[': "StartArray", '"': "String", 't': "True", 'f': "False", 'n': "Null", '0': "Number"}

// value reads one value and returns its text.
func (r *jsonReader) value() ([]byte, error) {
	r.peek()
	start := r.pos
	err := r.skip()
	return r.data[start:r.pos], err
}

func (r *jsonReader) skip() error {
	kind, err := r.token()
	if err != nil || kind != '[' && kind != '{' {
		return err
	}
	return r.each(kind, func([]byte) error { return r.skip() })
}

// each enters an array or object. It calls f for each element or value, with the name of the
// property, still escaped.
func (r *jsonReader) each(bracket byte, f func(name []byte) error) error {
	if err := r.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, more, err := r.member(bracket, first)
		if err != nil || !more {
			return err
		}
		if err := f(name); err != nil {
			return err
		}
	}
}

// member moves to the next element of the entered array or to the value of the next property
// of the entered object, and returns the property's name, still escaped.
func (r *jsonReader) member(bracket byte, first bool) (name []byte, more bool, err error) {
	if bracket == '[' {
		more, err = r.element(first)
		return nil, more, err
	}
	name, _, more, err = r.property(first)
	return name, more, err
}
