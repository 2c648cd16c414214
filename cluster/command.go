package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// maxNames is the length of the names in one message, unless one name is longer.
const maxNames = maxMessage / 4

// nameBytes is the length of a name in addition to the name itself.
const nameBytes = 8

// command has a hub.Command done by another process. The numbers are those of package hub.
type command struct {
	Hub    string           `json:"hub"`
	Action hub.Action       `json:"action"`
	Kind   hub.AudienceKind `json:"kind"`
	Names  []raw            `json:"names"`
	Group  raw              `json:"group,omitempty"`

	Except         []raw         `json:"except,omitempty"` // of endOthers
	TTL            time.Duration `json:"ttl,omitempty"`
	Reason         raw           `json:"reason,omitempty"`
	AllowReconnect bool          `json:"allowReconnect,omitempty"`
}

// endOthers is the action of hub.EndConnections with exceptions. A node that does not know
// exceptions refuses it.
const endOthers hub.Action = 100

// commanded is the answer to command.
type commanded struct {
	// Found is the number of names that no other process can have.
	Found int `json:"found,omitempty"`
}

// Attach implements hub.Commander.
func (h *Hub) Attach(local hub.Local) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = local.Command
}

// Command implements hub.Commander. It returns when all other nodes have done the command, or those
// of them that have all connections. It fails if some node does not confirm that within ten seconds.
// Its error says how many.
func (h *Hub) Command(ctx context.Context, c hub.Command) (err error) {
	if !h.node.enter() {
		return http.ErrServerClosed
	}
	defer h.node.running.Done()
	all := command{
		Hub: h.name, Action: c.Action, Kind: c.To.Kind, Group: raw(c.Group), Except: raws(c.To.Except),
		TTL: c.TTL, Reason: raw(c.Reason), AllowReconnect: c.AllowReconnect,
	}
	if c.Action == hub.EndConnections && len(c.To.Except) > 0 {
		all.Action = endOthers
	}
	rest := c.To.Names
	for isFirst := c.To.Kind == hub.Everyone; isFirst || len(rest) > 0; isFirst = false {
		part := all
		part.Names, rest = cutNames(rest)
		if failed := h.command(ctx, &part); err == nil {
			err = failed
		}
	}
	return err
}

// cutNames returns the names that fit into one message, and the rest.
func cutNames(all []string) (some []raw, rest []string) {
	length := 0
	for i, name := range all {
		if length += len(name) + nameBytes; length > maxNames && i > 0 {
			return some, all[i:]
		}
		some = append(some, raw(name))
	}
	return some, nil
}

var errUnheard = errors.New("it has not been heard of yet")

func (h *Hub) command(ctx context.Context, question *command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		found int
		err   error
	}
	others, unheard := h.node.members.others(ctx), h.node.members.unheard()
	outcomes := make(chan outcome, len(others))
	for _, other := range others {
		h.node.running.Go(func() {
			var answer commanded
			err := h.node.call(ctx, other, commandPath, question, &answer)
			outcomes <- outcome{answer.Found, err}
		})
	}
	failed, cause, found := unheard, errUnheard, 0
	for range others {
		o := <-outcomes
		if o.err != nil {
			failed, cause = failed+1, o.err
		} else if found += o.found; found >= len(question.Names) && question.Kind == hub.ToConnections {
			return nil
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("cluster: %d of %d other nodes have not confirmed the command: %w", failed, len(others)+unheard, cause)
}

// answerCommand does the command of another node. It does not wait: only hubs without a backplane
// are attached, and they need not wait for one.
func (n *Node) answerCommand(question *command) (any, error) {
	h := n.known(question.Hub)
	h.mu.Lock()
	do := h.commands
	h.mu.Unlock()
	if !question.isValid() {
		return nil, errMessage
	}
	if do == nil {
		return commanded{}, nil
	}
	c := hub.Command{
		Action: question.Action, Group: string(question.Group), TTL: question.TTL,
		To:     hub.Audience{Kind: question.Kind, Names: texts(question.Names), Except: texts(question.Except)},
		Reason: string(question.Reason), AllowReconnect: question.AllowReconnect,
	}
	if c.Action == endOthers {
		c.Action = hub.EndConnections
	}
	found, err := do(n.closing, c)
	return commanded{found}, err
}

func (c *command) isValid() bool {
	switch c.Action {
	case hub.EndConnections, endOthers:
		return hub.Everyone <= c.Kind && c.Kind <= hub.OfUsers
	case hub.AddToGroup, hub.RemoveFromGroup, hub.RemoveFromAllGroups:
		return c.Kind == hub.ToConnections
	case hub.AddUserToGroup, hub.RemoveUserFromGroup, hub.RemoveUserFromAllGroups:
		return c.Kind == hub.OfUsers && len(c.Names) == 1
	}
	return false
}

func raws(all []string) (encoded []raw) {
	for _, text := range all {
		encoded = append(encoded, raw(text))
	}
	return encoded
}

func texts(all []raw) (decoded []string) {
	for _, text := range all {
		decoded = append(decoded, string(text))
	}
	return decoded
}
