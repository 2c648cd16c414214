package appserver

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// commandTimeout is the longest time that other processes have for a command of a server.
const commandTimeout = 10 * time.Second

// handle handles a message of the server.
func (l *link) handle(m *serviceprotocol.Message) {
	if m.Type != serviceprotocol.ConnectionData {
		l.answerEarly(m)
	}
	switch m.Type {
	case serviceprotocol.Ping:
		l.pinged(m.Pairs)
	case serviceprotocol.ConnectionData:
		c := l.servers.find(l, m.Connection)
		if data := l.whole(m, c); data != nil {
			c.receive(data)
		}
	case serviceprotocol.CloseConnection:
		if c := l.servers.find(l, m.Connection); c != nil {
			l.servers.forget(c)
			c.relayed.End(errorOf(m.Text))
		}
	case serviceprotocol.ClientInvocation, serviceprotocol.ClientCompletion, serviceprotocol.ErrorCompletion:
		l.handleResult(m)
	case serviceprotocol.AccessKeyRequest:
		l.servers.refuse(l, m)
		_ = l.out.put(&serviceprotocol.Message{Type: serviceprotocol.AccessKeyResponse, Text: "Only access keys are supported."})
	default:
		if to, ok := audience(m); ok {
			l.send(to, m)
		} else {
			l.command(m)
		}
	}
}

// errorOf returns the cause that a server names for the end of a client.
func errorOf(text string) error {
	if text == "" {
		return nil
	}
	return hub.NewError(text)
}

// audience returns the receivers of a message with payloads.
func audience(m *serviceprotocol.Message) (to hub.Audience, ok bool) {
	switch m.Type {
	case serviceprotocol.MultiConnectionData:
		return hub.Audience{Kind: hub.ToConnections, Names: m.Names}, true
	case serviceprotocol.UserData:
		return hub.Audience{Kind: hub.OfUsers, Names: []string{m.User}}, true
	case serviceprotocol.MultiUserData:
		return hub.Audience{Kind: hub.OfUsers, Names: m.Names}, true
	case serviceprotocol.BroadcastData:
		return hub.Audience{Kind: hub.Everyone, Except: m.Except}, true
	case serviceprotocol.GroupData:
		return hub.Audience{Kind: hub.InGroups, Names: []string{m.Group}, Except: m.Except}, true
	case serviceprotocol.MultiGroupData:
		return hub.Audience{Kind: hub.InGroups, Names: m.Names}, true
	}
	return to, false
}

// send sends the payloads of a message.
func (l *link) send(to hub.Audience, m *serviceprotocol.Message) {
	out := hub.Message{Frames: make(map[string][]byte, len(m.Payloads))}
	for _, p := range m.Payloads {
		out.Frames[p.Protocol] = bytes.Clone(p.Data)
	}
	if err := l.servers.hub.Hub.SendEncoded(l.ctx, to, out); err != nil {
		l.servers.warn("message of an application server not sent", l.server, slog.String("error", err.Error()))
	}
}

// command does a command, and acknowledges it.
func (l *link) command(m *serviceprotocol.Message) {
	ctx, cancel := context.WithTimeout(l.ctx, commandTimeout)
	defer cancel()
	status, err := l.do(ctx, m)
	switch {
	case ctx.Err() != nil:
		status = serviceprotocol.TimedOut
	case err != nil:
		status = serviceprotocol.NotFound
		l.servers.warn("command of an application server failed", l.server, slog.String("error", err.Error()))
	}
	if m.Ack != 0 {
		l.servers.acks.Add(1)
		_ = l.out.put(&serviceprotocol.Message{Type: serviceprotocol.Ack, Ack: m.Ack, Status: status})
	}
}

// do does a command. It returns the status of its acknowledgement.
func (l *link) do(ctx context.Context, m *serviceprotocol.Message) (status int32, err error) {
	h := l.servers.hub.Hub
	switch m.Type {
	case serviceprotocol.JoinGroup, serviceprotocol.JoinGroupAck, serviceprotocol.LeaveGroup, serviceprotocol.LeaveGroupAck:
		return l.changeGroup(ctx, m)
	case serviceprotocol.UserJoinGroup, serviceprotocol.UserJoinGroupAck:
		return serviceprotocol.Done, h.UserGroups().Add(ctx, m.User, m.Group, time.Duration(m.TTL)*time.Second)
	case serviceprotocol.UserLeaveGroup, serviceprotocol.UserLeaveGroupAck:
		if m.Group == "" {
			return serviceprotocol.Done, h.UserGroups().RemoveAll(ctx, m.User)
		}
		return serviceprotocol.Done, h.UserGroups().Remove(ctx, m.User, m.Group)
	case serviceprotocol.CheckUserInGroupAck:
		found, err := h.UserGroups().Has(ctx, m.User, m.Group)
		return yesOrNo(found), err
	}
	to, closes, ok := subject(m)
	switch {
	case !ok:
		l.servers.refuse(l, m)
		return serviceprotocol.NotFound, nil
	case closes:
		return serviceprotocol.Done, h.CloseConnections(ctx, to, m.Text, true)
	}
	return l.exists(ctx, to)
}

// subject returns the connections that a message asks for, or that it closes.
func subject(m *serviceprotocol.Message) (to hub.Audience, closes, ok bool) {
	switch m.Type {
	case serviceprotocol.CheckConnectionAck, serviceprotocol.CloseConnectionAck:
		to = one(m.Connection)
	case serviceprotocol.CheckGroupAck, serviceprotocol.CloseGroupAck:
		to = hub.Audience{Kind: hub.InGroups, Names: []string{m.Group}, Except: m.Except}
	case serviceprotocol.CheckUserAck, serviceprotocol.CloseUserConnectionsAck:
		to = hub.Audience{Kind: hub.OfUsers, Names: []string{m.User}, Except: m.Except}
	case serviceprotocol.CloseConnectionsAck:
		to = hub.Audience{Kind: hub.Everyone, Except: m.Except}
	default:
		return to, false, false
	}
	return to, m.Type >= serviceprotocol.CloseConnectionAck, true
}

func one(connection string) hub.Audience {
	return hub.Audience{Kind: hub.ToConnections, Names: []string{connection}}
}

// changeGroup adds a connection to a group, or removes it.
func (l *link) changeGroup(ctx context.Context, m *serviceprotocol.Message) (status int32, err error) {
	groups := l.servers.hub.Hub.Groups()
	if found, err := l.exists(ctx, one(m.Connection)); err != nil || found != serviceprotocol.Done {
		return found, err
	}
	if m.Type == serviceprotocol.JoinGroup || m.Type == serviceprotocol.JoinGroupAck {
		return serviceprotocol.Done, groups.Add(ctx, m.Connection, m.Group)
	}
	return serviceprotocol.Done, groups.Remove(ctx, m.Connection, m.Group)
}

func (l *link) exists(ctx context.Context, to hub.Audience) (status int32, err error) {
	found, _, err := l.servers.hub.Hub.Exists(ctx, to)
	return yesOrNo(found), err
}

func yesOrNo(found bool) int32 {
	if found {
		return serviceprotocol.Done
	}
	return serviceprotocol.NotFound
}

// pinged handles a ping with its pairs of texts.
func (l *link) pinged(pairs []string) {
	for ; len(pairs) >= 2; pairs = pairs[2:] {
		switch key := pairs[0]; key {
		case "status":
			answer := "0"
			if n, _ := l.servers.hub.Hub.Count(l.ctx, hub.Audience{}); n.Connections > 0 {
				answer = "1"
			}
			_ = l.out.put(&serviceprotocol.Message{Type: serviceprotocol.Ping, Pairs: []string{key, answer}})
		case "shutdown", "offline":
			l.leave(key, pairs[1])
		}
	}
}

// refuse logs a message that is not served.
func (s *Servers) refuse(l *link, m *serviceprotocol.Message) {
	s.warn("message of an application server not served", l.server, slog.Int("type", int(m.Type)))
}

// warn logs a line about a server that it, or a client, can provoke.
func (s *Servers) warn(event, server string, more slog.Attr) {
	s.gate.Log(floodgate.Kind{Level: slog.LevelWarn, Event: event, Burst: 1}, func() []slog.Attr {
		return s.about(server, more)
	})
}

// maxLogged is the length of an id in a line of the log.
const maxLogged = 100

// about returns the attributes of a line about a server.
func (s *Servers) about(server string, more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("hub", s.hub.Name), slog.String("server", floodgate.Clip(server, maxLogged))}, more...)
}
