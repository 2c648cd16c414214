package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/accesskey"
)

// publishCommand sends one message by the REST interface of a server.
type publishCommand struct {
	URL    string   `arg:"" help:"URL of the server, for example http://localhost:8080."`
	Target string   `arg:"" help:"Method of the clients to invoke."`
	Arg    []string `arg:"" optional:"" passthrough:"" help:"Arguments. One that is JSON is sent as it is; other text is a string. A string that looks like JSON needs quotes in it: '\"1\"'. Flags come before the arguments."`

	Hub        string   `env:"-" required:"" placeholder:"HUB" help:"Name of the hub."`
	Group      string   `env:"-" xor:"to" placeholder:"GROUP" help:"Send to the connections in this group. Default: to all clients of the hub."`
	User       string   `env:"-" xor:"to" placeholder:"ID" help:"Send to the connections of this user."`
	Connection string   `env:"-" xor:"to" placeholder:"ID" help:"Send to this connection."`
	Except     []string `env:"-" sep:"none" placeholder:"ID" help:"Connection of all or of the group that does not get the message; may be repeated."`

	APIKeyFile     string `name:"api-key-file" type:"path" placeholder:"FILE" help:"File with an API key of the hub. The first line is sent to the server."`
	AccessKeyFile  string `name:"access-key-file" type:"path" placeholder:"FILE" help:"File with an access key of the hub, instead of --api-key-file. The first line signs a token for this request and is not sent."`
	IdempotencyKey string `env:"-" placeholder:"KEY" help:"The server does not publish a message twice within five minutes if it comes again with the same key."`
	Insecure       bool   `env:"-" help:"Accept any TLS certificate."`
}

// publishTime is the time for the request and the answer.
const publishTime = time.Minute

// Validate is called by kong.
func (c *publishCommand) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL must be that of a server, such as http://localhost:8080")
	case c.APIKeyFile+c.AccessKeyFile == "":
		return errors.New("--api-key-file or --access-key-file: the file with a key of the hub is needed")
	case c.Target == "":
		return errors.New("the target must not be empty")
	case len(c.Except) > 0 && c.User+c.Connection != "":
		return errors.New("--except is for messages to all or to a group")
	}
	return nil
}

// Run sends the message and prints the status of the answer. It returns an error if the server
// has not accepted the message.
func (c *publishCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	r, err := c.request(ctx)
	if err != nil {
		return err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // a redirect is no acceptance
	if c.Insecure {
		client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // asked for by name
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	const longest = 4096 // bytes of an error
	body, _ := io.ReadAll(io.LimitReader(answer.Body, longest))
	if answer.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the server answered %s%s", answer.Status, explained(body))
	}
	_, err = fmt.Fprintln(k.Stdout, answer.Status)
	return err
}

// explained returns the code and the message in the body of an error.
func explained(body []byte) string {
	var detail struct{ Code, Message string }
	if json.Unmarshal(body, &detail) != nil || detail.Message == "" {
		return ""
	}
	return fmt.Sprintf(": %s (%s)", detail.Message, detail.Code)
}

// request returns the request that sends the message.
func (c *publishCommand) request(ctx context.Context) (*http.Request, error) {
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	path := "/api/hubs/" + url.PathEscape(c.Hub)
	for _, to := range [][2]string{{"groups", c.Group}, {"users", c.User}, {"connections", c.Connection}} {
		if to[1] != "" {
			path += "/" + to[0] + "/" + url.PathEscape(to[1])
		}
	}
	address := strings.TrimSuffix(c.URL, "/") + path + "/:send?api-version=2024-12-01"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address+c.excluded(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.IdempotencyKey != "" {
		r.Header.Set("Idempotency-Key", c.IdempotencyKey)
	}
	return r, c.authorize(r, address)
}

func (c *publishCommand) excluded() string {
	if len(c.Except) == 0 {
		return ""
	}
	return "&" + url.Values{"excluded": c.Except}.Encode()
}

// body returns the message. Arguments that are JSON are in it as they are.
func (c *publishCommand) body() ([]byte, error) {
	message := struct {
		Target    string `json:"target"`
		Arguments []any  `json:"arguments"`
	}{c.Target, make([]any, len(c.Arg))}
	for i, text := range c.Arg {
		message.Arguments[i] = text
		if json.Valid([]byte(text)) {
			message.Arguments[i] = json.RawMessage(text)
		}
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(message)
	return body.Bytes(), err
}

// authorize adds the API key, or a token for the address that the access key signs.
func (c *publishCommand) authorize(r *http.Request, address string) error {
	file := cmp.Or(c.APIKeyFile, c.AccessKeyFile)
	keys, err := accesskey.ReadFile(file)
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("%s: there is no key in the file", file)
	}
	if err != nil {
		return err
	}
	if c.APIKeyFile != "" {
		r.Header.Set("X-Api-Key", keys[0])
		return nil
	}
	signing, err := accesskey.Parse(keys[:1], nil, accesskey.Options{Loopback: true})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	token, err := signing.Sign(accesskey.Grant{Audience: address, Expires: time.Now().Add(2 * publishTime)})
	r.Header.Set("Authorization", "Bearer "+token)
	return err
}
