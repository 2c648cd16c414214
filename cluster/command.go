package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/carillon-go/carillon/hub"
)

// maxNames is the length of the names in one message, unless one name is longer.
const maxNames = maxMessage / 4

// command has a hub.Command done by another process. The numbers are those of package hub.
type command struct {
	Hub    string           `json:"hub"`
	Action hub.Action       `json:"action"`
	Kind   hub.AudienceKind `json:"kind"`
	Names  []raw            `json:"names"`
	Group  raw              `json:"group,omitempty"`
}

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
	for rest := c.To.Names; len(rest) > 0; {
		part := command{Hub: h.name, Action: c.Action, Kind: c.To.Kind, Group: raw(c.Group)}
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
		if length += len(name); length > maxNames && i > 0 {
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
		} else if found += o.found; found >= len(question.Names) {
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
	c := hub.Command{Action: question.Action, To: hub.Audience{Kind: question.Kind}, Group: string(question.Group)}
	for _, name := range question.Names {
		c.To.Names = append(c.To.Names, string(name))
	}
	found, err := do(n.closing, c)
	return commanded{found}, err
}

func (c *command) isValid() bool {
	switch c.Action {
	case hub.EndConnections:
		return c.Kind == hub.ToConnections || c.Kind == hub.OfUsers
	case hub.AddToGroup, hub.RemoveFromGroup:
		return c.Kind == hub.ToConnections
	}
	return false
}
