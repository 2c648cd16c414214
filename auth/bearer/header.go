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

// keyFor returns the key of a token. It refuses, without requesting a key, a token whose
// header requires an extension: one that crit names (RFC 7515, 4.1.11), because none is
// supported, or an unencoded payload (RFC 7797).
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

// isUnverified reports whether a token was refused before or during the verification of its
// signature.
func isUnverified(err error) bool {
	return errors.Is(err, jwt.ErrTokenSignatureInvalid) || errors.Is(err, jwt.ErrTokenUnverifiable)
}
