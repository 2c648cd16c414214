package publish

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/protocol"
)

var done answer

// send sends a message. Receivers that do not exist are no error.
func send(ctx context.Context, c *call) (answer, error) {
	m, err := c.message()
	if err != nil {
		return done, err
	}
	if m.frames != nil {
		return done, c.hub.SendEncoded(ctx, c.audience(), hub.Message{Method: m.target, Frames: m.frames})
	}
	clients, except := c.hub.Clients(m.target), c.query["excluded"]
	var to hub.Sender
	switch n := c.names; {
	case n.connection != "":
		to = clients.Client(n.connection)
	case n.user != "":
		to = clients.User(n.user)
	case n.group != "":
		to = clients.GroupExcept(n.group, except...)
	default:
		to = clients.AllExcept(except...)
	}
	return done, to.Send(ctx, m.target, m.arguments...)
}

// invoke invokes a method of a client. The answer has the result, written as the JSON hub protocol
// writes it in a completion, and the hub protocol of the client.
func invoke(ctx context.Context, c *call) (answer, error) {
	m, err := c.message()
	if err != nil {
		return done, err
	}
	raw, err := hub.Invoke[protocol.Raw](ctx, c.hub.Clients(m.target).Client(c.names.connection), m.target, m.arguments...)
	if err != nil {
		return done, err
	}
	type result struct {
		Result   protocol.Raw `json:"result"`
		Protocol string       `json:"protocol"`
	}
	frame, err := jsonProtocol.AppendResult(nil, "0", result{raw, raw.Protocol})
	if err != nil {
		return done, err
	}
	record, _, err := jsonProtocol.Next(frame, 0, 0)
	if err != nil {
		return done, err
	}
	var parsed protocol.Message
	if err := jsonProtocol.Parse(record, &parsed); err != nil {
		return done, err
	}
	return answer{json.RawMessage(parsed.Payload)}, nil
}

// closeConnections closes connections. Their clients may reconnect.
func closeConnections(ctx context.Context, c *call) (answer, error) {
	return done, c.hub.Hub.CloseConnections(ctx, c.audience(), c.query.Get("reason"), true)
}

func exists(ctx context.Context, c *call) (answer, error) {
	return done, c.mustExist(ctx, c.audience())
}

// mustExist returns an error if an audience has no connection, or if only nodes that have not
// answered could have one.
func (c *call) mustExist(ctx context.Context, to hub.Audience) error {
	found, missing, err := c.hub.Hub.Exists(ctx, to)
	switch {
	case err != nil || found:
		return err
	case missing > 0:
		return errMissing
	}
	return c.absent()
}

// The bounds of a page of connections.
const (
	defaultPage = 100
	maxPage     = 200
	maxTop      = 1<<31 - 1
)

// page is a page of connections, and the URL of the next one.
type page struct {
	Value    []member `json:"value"`
	NextLink string   `json:"nextLink,omitempty"`
}

type member struct {
	ConnectionID string `json:"connectionId"`
	UserID       string `json:"userId,omitempty"`
}

// list lists the connections in a group. The list of a part of the nodes would look like the
// whole one, so it fails if a node is missing.
func list(ctx context.Context, c *call) (answer, error) {
	size, err := c.number("maxpagesize", 1, maxPage, defaultPage)
	if err != nil {
		return done, err
	}
	top, err := c.number("top", 1, maxTop, maxTop)
	if err != nil {
		return done, err
	}
	found, err := c.hub.Hub.Connections(ctx, c.audience(), c.query.Get("continuationToken"), min(size, top))
	if err != nil {
		return done, err
	}
	if found.Missing > 0 {
		return done, errMissing
	}
	p := page{Value: make([]member, 0, len(found.Members))}
	for _, m := range found.Members {
		p.Value = append(p.Value, member{m.ConnectionID, m.UserID})
	}
	if top -= len(p.Value); found.Next != "" && top > 0 {
		p.NextLink = c.nextLink(found.Next, top)
	}
	return answer{p}, nil
}

// nextLink returns the URL of the next page, which begins after a token. top is the number of connections that are still wanted.
func (c *call) nextLink(token string, top int) string {
	query := url.Values{}
	for name, values := range c.query {
		query[name] = values
	}
	query.Set("continuationToken", token)
	if query.Has("top") {
		query.Set("top", strconv.Itoa(top))
	}
	return c.base() + c.request.URL.EscapedPath() + "?" + query.Encode()
}

// number returns a parameter of the query within bounds.
func (c *call) number(name string, least, most, otherwise int) (int, error) {
	if !c.query.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(c.query.Get(name))
	if err != nil || n < least || n > most {
		return 0, invalid(name, name+" is not a number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return n, nil
}

// addConnection adds a connection to a group.
func addConnection(ctx context.Context, c *call) (answer, error) {
	return done, c.changeGroup(ctx, c.hub.Hub.Groups().Add)
}

// removeConnection removes a connection from a group.
func removeConnection(ctx context.Context, c *call) (answer, error) {
	return done, c.changeGroup(ctx, c.hub.Hub.Groups().Remove)
}

// changeGroup changes the membership of a connection, which must exist.
func (c *call) changeGroup(ctx context.Context, change func(ctx context.Context, connectionID, group string) error) error {
	connection := hub.Audience{Kind: hub.ToConnections, Names: []string{c.names.connection}}
	if err := c.mustExist(ctx, connection); err != nil {
		return err
	}
	err := change(ctx, c.names.connection, c.names.group)
	if err != nil && ctx.Err() == nil { // perhaps the connection has ended meanwhile
		if err := c.mustExist(ctx, connection); err != nil {
			return err
		}
	}
	return err
}

func removeConnectionFromAll(ctx context.Context, c *call) (answer, error) {
	return done, c.hub.Hub.Groups().RemoveFromAll(ctx, c.names.connection)
}

// maxTTL is the longest membership of a user in seconds. The hub ends it after a year.
const maxTTL = 1<<31 - 1

func addUser(ctx context.Context, c *call) (answer, error) {
	seconds, err := c.number("ttl", 0, maxTTL, -1)
	if err != nil {
		return done, err
	}
	return done, c.hub.Hub.UserGroups().Add(ctx, c.names.user, c.names.group, time.Duration(seconds)*time.Second)
}

func removeUser(ctx context.Context, c *call) (answer, error) {
	return done, c.hub.Hub.UserGroups().Remove(ctx, c.names.user, c.names.group)
}

func removeUserFromAll(ctx context.Context, c *call) (answer, error) {
	return done, c.hub.Hub.UserGroups().RemoveAll(ctx, c.names.user)
}

func hasUser(ctx context.Context, c *call) (answer, error) {
	has, err := c.hub.Hub.UserGroups().Has(ctx, c.names.user, c.names.group)
	if err == nil && !has {
		err = c.absent()
	}
	return done, err
}

// The life of a client's token in minutes.
const (
	defaultMinutes = 60
	maxMinutes     = 24 * 60
)

// clientToken is a token with which a client connects.
type clientToken struct {
	Token string `json:"token"`
}

// generateToken makes a token for a client.
func generateToken(_ context.Context, c *call) (answer, error) {
	for _, name := range []string{"role", "group"} {
		if c.query.Has(name) {
			return done, invalid(name, "a token has neither roles nor groups here")
		}
	}
	minutes, err := c.number("minutesToExpire", 1, maxMinutes, defaultMinutes)
	if err != nil {
		return done, err
	}
	token, err := c.hub.Keys().Sign(accesskey.Grant{
		Audience: c.base() + string(accesskey.Client) + "?hub=" + url.QueryEscape(c.hub.Name),
		UserID:   c.query.Get("userId"),
		Expires:  time.Now().Add(time.Duration(minutes) * time.Minute),
	})
	if err != nil {
		return done, &failure{status: http.StatusBadRequest, code: codeInvalid, message: "the hub has no access key to sign with"}
	}
	return answer{clientToken{token}}, nil
}
