package bearer

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

var (
	errCritical  = errors.New("the token has a critical header")
	errAlgorithm = errors.New("the algorithm of the token is not accepted")
	errNoKey     = errors.New("the key of the token was not found")
)

// keyFor returns the key of a token, unless its header says something that has to be understood
// and is not: an extension that crit names (RFC 7515, 4.1.11), of which none is known here, or a
// payload that is not encoded (RFC 7797). No key is asked for then.
func keyFor(t *jwt.Token, keys KeySet) (any, error) {
	_, critical := t.Header["crit"]
	encoded, given := t.Header["b64"]
	if critical || given && encoded != true {
		return nil, errCritical
	}
	key, err := keys.Key(t)
	if err != nil {
		return nil, errors.Join(errNoKey, err)
	}
	return key, nil
}

// isUnverified reports whether a token was refused before or while its signature was verified.
func isUnverified(err error) bool {
	return errors.Is(err, jwt.ErrTokenSignatureInvalid) || errors.Is(err, jwt.ErrTokenUnverifiable)
}
