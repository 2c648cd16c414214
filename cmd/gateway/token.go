package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/gateway"
)

// tokenCommand makes and shows bearer tokens (JWT).
type tokenCommand struct {
	Mint    mintCommand    `cmd:"" help:"Make a token that is signed with the secret of --jwt-key (HS256), and print it."`
	Inspect inspectCommand `cmd:"" help:"Print the contents of a token, and verify it if --jwt-key or --jwks-url is set."`
}

// tokenSettings are those settings of gateway serve that tokens depend on.
type tokenSettings struct {
	JWTKey      string `name:"jwt-key" type:"path" placeholder:"FILE" help:"Key file of the hub, as for gateway serve."`
	JWTIssuer   string `name:"jwt-issuer" placeholder:"ISSUER" help:"iss of the token, as for gateway serve."`
	JWTAudience string `name:"jwt-audience" placeholder:"AUDIENCE" help:"aud of the token, as for gateway serve."`
}

type mintCommand struct {
	tokenSettings `embed:""`

	User         string            `arg:"" optional:"" help:"Id of the user. Default: none."`
	JWTUserClaim string            `name:"jwt-user-claim" default:"sub" placeholder:"CLAIM" help:"Claim that holds the user's id, as for gateway serve."`
	Lifetime     time.Duration     `env:"-" default:"1h" help:"Time until the token expires."`
	Claim        map[string]string `env:"-" mapsep:"none" placeholder:"NAME=JSON" help:"Further claim; may be repeated. Text that is not JSON is a string."`
}

// Validate is called by kong.
func (c *mintCommand) Validate() error {
	switch {
	case c.JWTKey == "":
		return errors.New("--jwt-key: the file with the secret is needed")
	case c.Lifetime <= 0:
		return errors.New("--lifetime: the time must be positive")
	}
	return nil
}

// Run prints the token.
func (c *mintCommand) Run(k *kong.Context) error {
	now := time.Now()
	claims := map[string]any{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(c.Lifetime).Unix()}
	for name, value := range map[string]string{c.JWTUserClaim: c.User, "iss": c.JWTIssuer, "aud": c.JWTAudience} {
		if value != "" {
			claims[name] = value
		}
	}
	for name, text := range c.Claim {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		claims[name] = value
	}
	token, err := (&gateway.Config{JWTKey: c.JWTKey}).MintToken(claims)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(k.Stdout, token)
	return err
}

type inspectCommand struct {
	tokenSettings `embed:""`

	Token   string `arg:"" optional:"" env:"CARILLON_TOKEN" help:"The token. Other users of this machine can read a command line, so set the variable instead, or give - and write the token to standard input."`
	JWKSURL string `name:"jwks-url" placeholder:"URL" help:"URL of the keys of an identity provider, as for gateway serve."`
}

// Run prints the contents of the token. It returns an error if the token cannot be read or is not
// valid.
func (c *inspectCommand) Run(ctx context.Context, k *kong.Context) error {
	token, err := c.token()
	if err != nil {
		return err
	}
	claims, err := printToken(k.Stdout, token)
	if err != nil {
		return err
	}
	printDates(k.Stdout, claims)
	if c.JWTKey == "" && c.JWKSURL == "" {
		fmt.Fprintln(k.Stdout, "signature: not verified; --jwt-key or --jwks-url verifies it")
		return nil
	}
	hub := gateway.Config{JWTKey: c.JWTKey, JWKSURL: c.JWKSURL, JWTIssuer: c.JWTIssuer, JWTAudience: c.JWTAudience}
	if err := hub.VerifyToken(ctx, token); err != nil {
		return err
	}
	fmt.Fprintln(k.Stdout, "signature: valid; the hub accepts the token")
	return nil
}

// maxToken is the longest token that is read, in bytes: longer ones fit into no request.
const maxToken = 64 << 10

func (c *inspectCommand) token() (string, error) {
	text := c.Token
	if text == "-" {
		read, err := io.ReadAll(io.LimitReader(os.Stdin, maxToken))
		if err != nil {
			return "", err
		}
		text = string(read)
	}
	text = strings.TrimSpace(text)
	text = strings.TrimSpace(strings.TrimPrefix(text, "Bearer "))
	if text == "" {
		return "", errors.New("there is no token; set CARILLON_TOKEN, or give - and write the token to standard input")
	}
	return text, nil
}

// errNoToken quotes nothing, because the text may be a secret.
var errNoToken = errors.New("the text is no JSON Web Token: it must be three parts of base64 with dots between them")

// printToken prints the header and the claims of a token, as they are written in it.
func printToken(w io.Writer, token string) (claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errNoToken
	}
	for i, name := range []string{"header", "claims"} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, errNoToken
		}
		var content map[string]json.RawMessage
		if json.Unmarshal(text, &content) != nil {
			return nil, errNoToken
		}
		shown, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return nil, errNoToken
		}
		fmt.Fprintf(w, "%s: %s\n", name, shown)
		if i == 1 {
			_ = json.Unmarshal(text, &claims) // content could be read
		}
	}
	return claims, nil
}

// printDates prints the times of a token in words.
func printDates(w io.Writer, claims map[string]any) {
	for _, date := range []struct{ claim, past, future string }{
		{"iat", "issued", "issued"}, {"nbf", "valid since", "not valid before"}, {"exp", "expired", "expires"},
	} {
		seconds, ok := claims[date.claim].(float64)
		if !ok {
			continue
		}
		const year0, year9999 = -62167219200, 253402300799 // beyond these dates are not written in words
		at := time.Unix(int64(min(max(seconds, year0), year9999)), 0).UTC()
		words := date.future
		if at.Before(time.Now()) {
			words = date.past
		}
		fmt.Fprintf(w, "%s: %s, %s\n", words, at.Format(time.RFC3339), away(time.Until(at)))
	}
	if claims["exp"] == nil {
		fmt.Fprintln(w, "the token has no exp: the hub refuses it")
	}
}

func away(d time.Duration) string {
	text := d.Abs().Round(time.Second).Truncate(time.Second).String()
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}
