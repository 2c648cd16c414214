package hub

import "slices"

// fewNames is up to how many names are compared one by one, which takes no memory.
const fewNames = 16

// nameSet tells whether a name is among others, in a time that does not grow with their number.
type nameSet struct {
	few  []string
	many map[string]struct{} // instead of few
}

func newNameSet(names []string) nameSet {
	if len(names) <= fewNames {
		return nameSet{few: names}
	}
	many := make(map[string]struct{}, len(names))
	for _, name := range names {
		many[name] = struct{}{}
	}
	return nameSet{many: many}
}

func (s nameSet) has(name string) bool {
	if s.many != nil {
		_, ok := s.many[name]
		return ok
	}
	return slices.Contains(s.few, name)
}

// seenNames finds names that came before in a list, whose names are asked for in order.
type seenNames map[string]struct{}

func (p *seenNames) isRepeated(names []string, i int) bool {
	if len(names) <= fewNames {
		return slices.Contains(names[:i], names[i])
	}
	if *p == nil {
		*p = make(seenNames, len(names))
	}
	_, repeated := (*p)[names[i]]
	(*p)[names[i]] = struct{}{}
	return repeated
}
