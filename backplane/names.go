package backplane

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"

	"github.com/carillon-go/carillon/hub"
)

// names are the names of the channels of a hub. Names of groups, users and connections stand
// in them as they are: nothing is escaped.
type names struct {
	prefix string // in front of every channel, and never in a payload
	hub    string
	server string
	// The channels of this server.
	all, groups, acks, answers string
}

// newNames returns the names for a hub. The server's name is unique: that of the host and 32
// random hexadecimal digits, as in the original.
func newNames(prefix, hubName string) names {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	n := names{prefix: prefix, hub: prefix + hubName, server: host + "_" + hex.EncodeToString(random[:])}
	n.all, n.groups = n.hub+":all", n.hub+":internal:groups"
	n.acks, n.answers = n.ackChannel(n.server), n.hub+":internal:return:"+n.server
	return n
}

func (n *names) ackChannel(server string) string { return n.hub + ":internal:ack:" + server }

// returnChannel returns the name that other servers are told for answers: without the prefix.
func (n *names) returnChannel() string { return strings.TrimPrefix(n.answers, n.prefix) }

// kinds are the audiences that have a channel for each name, with the part of the channel
// between the hub and the name.
var kinds = [...]struct {
	kind hub.AudienceKind
	part string
}{{hub.InGroups, ":group:"}, {hub.OfUsers, ":user:"}, {hub.ToConnections, ":connection:"}}

// channel returns the channel of one name of an audience.
func (n *names) channel(kind hub.AudienceKind, name string) string {
	for _, k := range kinds {
		if k.kind == kind {
			return n.hub + k.part + name
		}
	}
	return n.all
}

// audience returns the audience of a channel. It reports whether the channel has one.
func (n *names) audience(channel string) (to hub.Audience, ok bool) {
	if channel == n.all {
		return hub.Audience{}, true
	}
	rest, ok := strings.CutPrefix(channel, n.hub)
	if !ok {
		return to, false
	}
	for _, k := range kinds {
		if name, ok := strings.CutPrefix(rest, k.part); ok {
			return hub.Audience{Kind: k.kind, Names: []string{name}}, true
		}
	}
	return to, false
}

// channels returns the channels of an audience. Empty and repeated names have none.
func (n *names) channels(to hub.Audience) []string {
	if to.Kind == hub.Everyone {
		return []string{n.all}
	}
	all := make([]string, 0, len(to.Names))
	var seen map[string]bool
	for _, name := range to.Names {
		if name == "" || seen[name] {
			continue
		}
		if len(to.Names) > 1 {
			if seen == nil {
				seen = make(map[string]bool, len(to.Names))
			}
			seen[name] = true
		}
		all = append(all, n.channel(to.Kind, name))
	}
	return all
}
