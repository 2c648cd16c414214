package hub

import "slices"

// fewNames is the largest number of names that are compared one by one, without
// allocation.
const fewNames = 16

// nameSet is a set of names with a lookup time that does not grow with the number of
// names.
type nameSet struct {
	few  []string
	many map[string]struct{} // used if few is not enough
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

// seenNames finds the repeated names of a list. The caller asks for each name in order.
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
