package publish

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/authlog"
	"github.com/carillon-go/carillon/internal/fold"
)

// admit finds the hub of a call and checks the credentials. A publisher with a key of any hub
// learns that a hub does not exist; everybody else gets 401 for every name.
func (c *call) admit() error {
	name := c.names.hub
	if application := c.query.Get("application"); application != "" {
		name = application + "_" + name
	}
	c.hub = c.Hubs.Find(name)
	if c.hub != nil {
		return c.refuse(c.authenticate(c.hub.Keys()))
	}
	return c.authenticateAnywhere()
}

// The work for credentials that are for no hub, which must not grow with the number of hubs: the bytes
// that are hashed, and what one attempt costs besides, in bytes.
const (
	maxHashed   = 64 << 10
	attemptCost = 256
)

// authenticateAnywhere returns the answer to a call for a hub that does not exist: errNoHub if the
// credentials are those of any hub.
func (c *call) authenticateAnywhere() error {
	err := errNoKey
	var tried *accesskey.Keys
	left := maxHashed
	for _, h := range c.Hubs.All() {
		keys := h.Keys()
		if keys == tried || left < 0 {
			continue
		}
		tried = keys
		left -= attemptCost + len(c.request.Header.Get("X-Api-Key")) + len(c.request.Header.Get("Authorization"))
		if err = c.authenticate(keys); err == nil {
			return errNoHub
		}
	}
	return c.refuse(err)
}

var (
	errNoCredentials = errors.New("no credentials")
	errNoKey         = errors.New("the API key is not one of the hub")
)

// authenticate returns the error of credentials that keys do not admit.
func (c *call) authenticate(keys *accesskey.Keys) error {
	if text := c.request.Header.Get("X-Api-Key"); text != "" {
		if keys.APIKey(text) {
			return nil
		}
		return errNoKey
	}
	scheme, text, _ := strings.Cut(c.request.Header.Get("Authorization"), " ")
	if text == "" || !fold.Equal(scheme, "Bearer") {
		return errNoCredentials
	}
	_, err := keys.Token(strings.TrimSpace(text), accesskey.API, "", c.request)
	return err
}

// refuse returns the answer to credentials that are not admitted, and logs why.
func (c *call) refuse(err error) error {
	if err == nil {
		return nil
	}
	f := &failure{status: http.StatusUnauthorized, code: codeUnauthorized, challenge: "Bearer", message: "the request needs an API key of the hub in X-Api-Key, or a token that an access key has signed"}
	reason := err.Error()
	var token *auth.TokenError
	if errors.As(err, &token) {
		reason = token.Reason
		f.challenge = `Bearer error="invalid_token", error_description="` + reason + `"`
		f.message = "the token is not valid: " + reason
	}
	authlog.Refused(c.request, "", "publishing: "+reason, nil)
	return f
}

// hubName is the pattern of hubs' names.
const hubName = "^[A-Za-z][A-Za-z0-9_`,.[\\]]{0,127}$"

const (
	maxGroup    = 1024 // characters
	maxExcluded = 1000
)

// check checks the parts of a request that are not its body.
func (c *call) check() error {
	if n := len(c.query["excluded"]); n > maxExcluded {
		return invalid("excluded", "there are more than 1,000 excluded connections")
	}
	if group := c.names.group; group != "" && (strings.TrimSpace(group) == "" || utf8.RuneCountInString(group) > maxGroup) {
		return invalid("group", "the name of a group has 1 to 1,024 characters, and not only white space")
	}
	for _, key := range c.route.queries {
		if key != "excluded" && len(c.query[key]) > 1 {
			return invalid(key, "the query has a parameter twice")
		}
	}
	return nil
}
