package hub

// members are sessions by id, group and user.
type members struct {
	connections connections
	groups      directory
	users       directory
}

func (m *members) add(s *Session) {
	m.connections.add(s)
	if id := s.caller.UserID(); id != "" {
		m.users.add(id, s)
	}
}

func (m *members) remove(s *Session) {
	m.connections.remove(s)
	if id := s.caller.UserID(); id != "" {
		m.users.remove(id, s)
	}
	for _, g := range s.groups.leaveAll() {
		m.groups.remove(g, s)
	}
}

// send sends to an audience of a kind other than Connections.
func (m *members) send(to audience, what *message) error {
	switch to.Kind {
	case inGroups:
		return m.groups.send(to, what)
	case ofUsers:
		return m.users.send(to, what)
	default:
		return fanOut(m.connections.snapshot(), newNameSet(to.Except), what)
	}
}

func (d *directory) send(to audience, what *message) error {
	var passed seenNames
	except := newNameSet(to.Except)
	for i, name := range to.Names {
		if passed.isRepeated(to.Names, i) {
			continue
		}
		if err := fanOut(d.snapshot(name), except, what); err != nil {
			return err
		}
	}
	return nil
}
