package bearer

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// idOf returns the user ID from a claim of a token: the claim's text, or the exact decimal
// digits of an integer. It returns "" if the claim is missing or has another type.
func idOf(claim string, claims jwt.MapClaims, token string) string {
	switch value := claims[claim].(type) {
	case string:
		return value
	case float64: // the float may have lost digits
		return integer(numberOf(claim, token))
	}
	return ""
}

// numberOf returns the number in a claim of a token, as it is written in the token.
func numberOf(claim, token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := jwt.NewParser().DecodeSegment(payload)
	if err != nil {
		return ""
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var claims map[string]any
	if decoder.Decode(&claims) != nil {
		return ""
	}
	number, _ := claims[claim].(json.Number)
	return number.String()
}

// maxExponent limits the digits that an exponent can produce.
const maxExponent = 100

// integer returns the decimal digits of a JSON number, or "" if it is not an integer or its
// exponent is too large. 42, 42.0 and 4.2e1 are the same user.
func integer(number string) string {
	if _, exponent, ok := strings.Cut(strings.ToLower(number), "e"); ok {
		if n, err := strconv.Atoi(exponent); err != nil || n > maxExponent || n < -maxExponent {
			return ""
		}
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok || !r.IsInt() {
		return ""
	}
	return r.Num().String()
}

// maxDate is the last second of the year 9999, in seconds since 1970. .NET has no later time.
const maxDate = 253402300799

// boundDates limits the times of a token to maxDate. The parser converts larger numbers to times
// in the past, and would accept a token that is not valid yet.
func boundDates(claims jwt.MapClaims) {
	for _, name := range []string{"exp", "nbf"} {
		if seconds, ok := claims[name].(float64); ok {
			claims[name] = min(max(seconds, -maxDate), maxDate)
		}
	}
}
