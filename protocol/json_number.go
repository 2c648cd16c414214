package protocol

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
)

// sureDigits is the number of digits of any decimal number that a float64 preserves.
const sureDigits = 15

// readAnyNumber reads a number for an empty interface. It returns a float64 if encoding
// that gives an equal number; otherwise an int64 or a uint64, or else a [json.Number].
func (r *jsonDecoder) readAnyNumber() (any, error) {
	text, err := r.readNumber(reflect.TypeFor[float64]())
	if err != nil {
		return nil, err
	}
	f, err := strconv.ParseFloat(string(text), 64)
	switch {
	case err == nil && len(text) <= sureDigits && (f != 0 || !bytes.ContainsAny(text, "eE")):
		return f, nil
	case err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 && !bytes.ContainsAny(text, ".eE"):
		return f, nil
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(string(text), 10, 64); err == nil {
		return n, nil
	}
	if err == nil && sameNumber(strconv.AppendFloat(nil, f, 'e', -1, 64), text) {
		return f, nil
	}
	return json.Number(text), nil
}

// sameNumber reports whether two JSON numbers have equal values.
func sameNumber(a, b []byte) bool {
	negativeA, digitsA, exponentA, okA := decimal(a)
	negativeB, digitsB, exponentB, okB := decimal(b)
	return okA && okB && negativeA == negativeB && exponentA == exponentB && bytes.Equal(digitsA, digitsB)
}

// decimal splits a number into digits and exponent: 0.digits times ten to the power of
// exponent. The digits have no leading and no trailing zeros. ok is false if the exponent
// is out of range.
func decimal(text []byte) (negative bool, digits []byte, exponent int, ok bool) {
	text, negative = bytes.CutPrefix(text, []byte("-"))
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.ParseInt(string(text[i+1:]), 10, 16)
		if err != nil {
			return negative, nil, 0, false
		}
		exponent, text = int(n), text[:i]
	}
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	exponent += len(whole)
	digits = append(bytes.Clone(whole), fraction...)
	trimmed := bytes.TrimLeft(digits, "0")
	exponent -= len(digits) - len(trimmed)
	trimmed = bytes.TrimRight(trimmed, "0")
	if len(trimmed) == 0 {
		exponent = 0
	}
	return negative, trimmed, exponent, true
}
