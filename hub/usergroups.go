package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// UserGroups are memberships of users in groups. They are safe for concurrent use. Each process
// keeps them in memory: a process that starts later does not know them. An empty user id has no
// connections.
type UserGroups interface {
	// Add adds all present connections of a user to a group, and those that the user opens
	// within ttl: these are in the group before OnConnected runs. A connection stays in it when
	// ttl has passed. With a ttl of 0 only the present connections are added; a negative one is
	// a year, which is the most. Of a user the newest 100 memberships are kept. Add fails when
	// those of all users would take more than 64 MiB: their names, 256 bytes for each, and 256
	// bytes for each user. It fails as Groups.Add does, too; then some connections may be in the
	// group.
	Add(ctx context.Context, userID, group string, ttl time.Duration) error
	// Remove ends the membership and removes all connections of the user from the group.
	Remove(ctx context.Context, userID, group string) error
	// RemoveAll ends all memberships of the user and removes all connections of the user from
	// all groups.
	RemoveAll(ctx context.Context, userID string) error
	// Has reports whether the membership is kept, or some connection of the user is in the
	// group, in any process. It fails if no process says so and some have not answered within a
	// second, see Options.Presence.
	Has(ctx context.Context, userID, group string) (bool, error)
}

// userGroups implements UserGroups.
type userGroups struct{ hub *Hub }

func (u userGroups) Add(ctx context.Context, userID, group string, ttl time.Duration) error {
	return u.command(ctx, userID, Command{Action: AddUserToGroup, Group: group, TTL: ttl})
}

func (u userGroups) Remove(ctx context.Context, userID, group string) error {
	return u.command(ctx, userID, Command{Action: RemoveUserFromGroup, Group: group})
}

func (u userGroups) RemoveAll(ctx context.Context, userID string) error {
	return u.command(ctx, userID, Command{Action: RemoveUserFromAllGroups})
}

func (u userGroups) Has(ctx context.Context, userID, group string) (bool, error) {
	yes, missing, err := u.hub.anyProcess(ctx, Survey{Kind: UserInGroup, Of: ofUser(userID), Group: group})
	if err == nil && !yes && missing > 0 {
		err = fmt.Errorf("hub: %d other processes have not answered", missing)
	}
	return yes, err
}

// command changes a user in all processes.
func (u userGroups) command(ctx context.Context, userID string, c Command) error {
	c.To = ofUser(userID)
	return errors.Join(u.hub.changeUser(ctx, c), u.hub.command(ctx, c))
}

func ofUser(id string) Audience { return Audience{Kind: OfUsers, Names: []string{id}} }

// changeUser does a command of UserGroups in this process.
func (h *Hub) changeUser(ctx context.Context, c Command) (err error) {
	if c.Action == AddUserToGroup {
		err = h.userGroups.add(c.To.Names[0], c.Group, c.TTL)
	} else {
		h.userGroups.remove(c.To.Names[0], func(group string) bool {
			return c.Action == RemoveUserFromAllGroups || group == c.Group
		})
	}
	if err != nil {
		return err
	}
	for s := range h.local.in(context.Background(), c.To) {
		switch c.Action {
		case AddUserToGroup:
			err = errors.Join(err, h.addToGroup(ctx, s, c.Group))
		case RemoveUserFromGroup:
			h.removeFromGroup(s, c.Group)
		default:
			h.removeFromAllGroups(s)
		}
	}
	return err
}

// The limits of the memberships that a hub keeps.
const (
	maxKept      = 100      // of a user
	maxKeptBytes = 64 << 20 // of all users
	keptBytes    = 256      // of a user or a membership in addition to its name
	maxKeptTime  = 365 * 24 * time.Hour
	sweepPause   = time.Second // between two looks at all memberships; each addition to a full hub would be one
)

var errTooManyKept = NewError("More memberships of users are kept than may be.")

// keptGroups are the memberships of users in groups that are kept for their later connections.
type keptGroups struct {
	mu      sync.Mutex
	of      map[string][]keptGroup // by user, the newest last
	bytes   int
	sweepAt int // the number of bytes at which those that have ended are removed
	swept   time.Time
}

type keptGroup struct {
	group string
	until time.Time
}

// add keeps a membership. It fails with errTooManyKept.
func (k *keptGroups) add(user, group string, ttl time.Duration) error {
	if ttl == 0 || user == "" {
		return nil
	}
	if ttl < 0 || ttl > maxKeptTime {
		ttl = maxKeptTime
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.removeLocked(user, func(g keptGroup) bool { return g.group == group || !now.Before(g.until) })
	need := keptBytes + len(group)
	if len(k.of[user]) == 0 {
		need += keptBytes + len(user)
	}
	if k.bytes+need > max(k.sweepAt, maxKeptBytes/64) && now.Sub(k.swept) >= sweepPause {
		k.swept = now
		for user := range k.of {
			k.removeLocked(user, func(g keptGroup) bool { return !now.Before(g.until) })
		}
		k.sweepAt = min(2*(k.bytes+need), maxKeptBytes)
	}
	if k.bytes+need > maxKeptBytes {
		return errTooManyKept
	}
	if k.of == nil {
		k.of = make(map[string][]keptGroup)
	}
	k.bytes += need
	all := append(k.of[user], keptGroup{strings.Clone(group), now.Add(ttl)}) //nolint:gocritic // the names are copied because they may be parts of long strings
	k.of[strings.Clone(user)] = all
	if len(all) > maxKept {
		oldest := all[0].group
		k.removeLocked(user, func(g keptGroup) bool { return g.group == oldest })
	}
	return nil
}

// remove ends memberships of a user.
func (k *keptGroups) remove(user string, ends func(group string) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.removeLocked(user, func(g keptGroup) bool { return ends(g.group) })
}

func (k *keptGroups) removeLocked(user string, ends func(keptGroup) bool) {
	all, ok := k.of[user]
	if !ok {
		return
	}
	all = slices.DeleteFunc(all, func(g keptGroup) bool {
		if !ends(g) {
			return false
		}
		k.bytes -= keptBytes + len(g.group)
		return true
	})
	if k.of[user] = all; len(all) == 0 {
		delete(k.of, user)
		k.bytes -= keptBytes + len(user)
	}
}

// each calls f for each group of a user. No membership is added or removed in the meantime, so
// that a new connection is in all groups of its user and in no others.
func (k *keptGroups) each(user string, f func(group string)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	for _, g := range k.of[user] {
		if now.Before(g.until) {
			f(g.group)
		}
	}
}

func (k *keptGroups) has(user, group string) (found bool) {
	k.each(user, func(g string) { found = found || g == group })
	return found
}
