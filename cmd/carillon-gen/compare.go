package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// comparison collects the changes that break deployed clients.
type comparison struct {
	before, after description
	breaks        []error
}

// compare returns the changes from before to after that break clients which were made for
// before.
func compare(before, after description) []error {
	c := &comparison{before: before, after: after}
	c.methods(before.Methods, after.Methods, "add a method with another name, and keep this one until no client calls it")
	c.methods(before.Receivers, after.Receivers, "send a method with another name, and keep this one until every client has both")
	for _, m := range after.Receivers {
		if m.Result != "" && find(before.Receivers, m.Name) == nil {
			c.add("the hub asks clients for %s, which deployed ones do not implement; ask only clients that said that they have it", m.Name)
		}
	}
	toHub, toClient := uses(before)
	for _, name := range slices.Sorted(maps.Keys(before.Types)) {
		if after.Types[name] == nil {
			continue // no longer used: each use was compared
		}
		c.fields(name, toHub[name], toClient[name])
		c.values(name)
	}
	return c.breaks
}

func (c *comparison) add(format string, args ...any) {
	c.breaks = append(c.breaks, fmt.Errorf(format, args...))
}

func find(all []describedMethod, name string) *describedMethod {
	i := slices.IndexFunc(all, func(m describedMethod) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func (c *comparison) methods(before, after []describedMethod, remedy string) {
	for _, old := range before {
		now := find(after, old.Name)
		if now == nil {
			c.add("%s was removed or renamed; keep it, or give another Go method this name by //carillon:name %s", old.Name, old.Name)
			continue
		}
		if len(old.Params) != len(now.Params) {
			c.add("%s took %d arguments and takes %d; %s", old.Name, len(old.Params), len(now.Params), remedy)
			continue
		}
		for i, p := range old.Params {
			if n := now.Params[i]; p.Type != n.Type || p.Stream != n.Stream {
				c.add("argument %s of %s was %s and is %s; %s", p.Name, old.Name, spell(p.Type, p.Stream), spell(n.Type, n.Stream), remedy)
			}
		}
		if old.Result != now.Result || old.Stream != now.Stream {
			c.add("the result of %s was %s and is %s; %s", old.Name, spell(old.Result, old.Stream), spell(now.Result, now.Stream), remedy)
		}
	}
}

func spell(t string, stream bool) string {
	switch {
	case t == "":
		return "nothing"
	case stream:
		return "a stream of " + t
	}
	return t
}

// fields compares the fields of a struct. Clients that send it leave out a new field, and
// those that receive it miss a removed one.
func (c *comparison) fields(name string, toHub, toClient bool) {
	old, now := c.before.Types[name].Fields, c.after.Types[name].Fields
	for _, f := range old {
		i := slices.IndexFunc(now, func(n describedField) bool { return n.JSON == f.JSON && n.MessagePack == f.MessagePack })
		switch {
		case i < 0 && toClient:
			c.add("field %s was removed from %s, which clients receive; keep it, and send its zero value", fieldName(f), name)
		case i < 0: // an additional field that a client sends is ignored
		case now[i].Type != f.Type:
			c.add("field %s of %s was %s and is %s; add a field with another name", fieldName(f), name, f.Type, now[i].Type)
		case now[i].Optional && !f.Optional && toClient:
			c.add("field %s of %s, which clients receive, may now be missing; send it always", fieldName(f), name)
		}
	}
	for _, n := range now {
		isNew := !slices.ContainsFunc(old, func(f describedField) bool { return n.JSON == f.JSON && n.MessagePack == f.MessagePack })
		if isNew && toHub && !n.Optional {
			c.add("the required field %s was added to %s, which clients send; mark it omitempty, and take its absence for the old behaviour", fieldName(n), name)
		}
	}
}

func fieldName(f describedField) string {
	if f.JSON == "" {
		return f.MessagePack
	}
	return f.JSON
}

func (c *comparison) values(name string) {
	for _, v := range c.before.Types[name].Values {
		if !slices.Contains(c.after.Types[name].Values, v) {
			c.add("the value %s was removed from %s; keep the constant", v, name)
		}
	}
}

// uses returns the types that clients send, and those that they receive, with all types
// in their fields.
func uses(d description) (toHub, toClient map[string]bool) {
	toHub, toClient = map[string]bool{}, map[string]bool{}
	for _, m := range d.Methods {
		for _, p := range m.Params {
			mark(d, p.Type, toHub)
		}
		mark(d, m.Result, toClient)
	}
	for _, m := range d.Receivers {
		for _, p := range m.Params {
			mark(d, p.Type, toClient)
		}
		mark(d, m.Result, toHub)
	}
	return toHub, toClient
}

// mark notes the named type in a spelling and the types of its fields.
func mark(d description, spelled string, used map[string]bool) {
	name := spelled
	for trimmed := ""; trimmed != name; {
		trimmed = name
		name = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(name, "?"), "[]"), "map[string]")
	}
	t := d.Types[name]
	if t == nil || used[name] {
		return
	}
	used[name] = true
	for _, f := range t.Fields {
		mark(d, f.Type, used)
	}
}
