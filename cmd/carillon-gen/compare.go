package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// comparison collects the changes that break deployed clients. Names of types are not on
// the wire: types are compared by their content.
type comparison struct {
	before, after description
	compared      map[string]bool // pairs of types
	breaks        []error
}

// compare returns the changes from before to after that break clients which were made for
// before.
func compare(before, after description) []error {
	c := &comparison{before: before, after: after, compared: map[string]bool{}}
	c.methods(before.Methods, after.Methods, toHub, "add a method with another name, and keep this one until no client calls it")
	c.methods(before.Receivers, after.Receivers, toClient, "send a method with another name, and keep this one until every client has both")
	for _, m := range after.Receivers {
		if m.Result != "" && find(before.Receivers, m.Name) == nil {
			c.add("the hub asks clients for %s, which deployed ones do not implement; ask only clients that said that they have it", m.Name)
		}
	}
	return c.breaks
}

// direction is that of a value.
type direction bool

const (
	toHub    direction = true
	toClient direction = false
)

// add notes a break, once.
func (c *comparison) add(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if !slices.ContainsFunc(c.breaks, func(have error) bool { return have.Error() == err.Error() }) {
		c.breaks = append(c.breaks, err)
	}
}

func find(all []describedMethod, name string) *describedMethod {
	i := slices.IndexFunc(all, func(m describedMethod) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// methods compares the methods of an interface. way is the direction of their arguments.
func (c *comparison) methods(before, after []describedMethod, way direction, remedy string) {
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
			if n := now.Params[i]; p.Stream != n.Stream || !c.same(p.Type, n.Type, way) {
				c.add("argument %s of %s was %s and is %s; %s", p.Name, old.Name, spell(p.Type, p.Stream), spell(n.Type, n.Stream), remedy)
			}
		}
		if old.Stream != now.Stream || !c.same(old.Result, now.Result, !way) {
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

// wrapping matches the outermost array, map or null of a spelled type.
var wrapping = regexp.MustCompile(`^(\[\d*\]|map\[string\])|\?$`)

// same reports whether two spelled types are the same but for named types in them. The
// differences between these are added.
func (c *comparison) same(old, now string, way direction) bool {
	for {
		outer := wrapping.FindString(old)
		if outer != wrapping.FindString(now) {
			return false
		}
		if outer == "" {
			break
		}
		old, now = strings.Replace(old, outer, "", 1), strings.Replace(now, outer, "", 1)
	}
	before, after := c.before.Types[old], c.after.Types[now]
	switch {
	case before == nil || after == nil:
		return before == nil && after == nil && old == now
	case (before.Values == nil) != (after.Values == nil):
		return false
	}
	pair := fmt.Sprint(old, now, way)
	if !c.compared[pair] {
		c.compared[pair] = true
		c.fields(old, before.Fields, after.Fields, way)
		c.values(old, before.Values, after.Values)
	}
	return true
}

// fields compares the fields of a struct by each protocol.
func (c *comparison) fields(name string, before, after []describedField, way direction) {
	for _, protocol := range []func(describedField) string{describedField.jsonName, describedField.messagePackName} {
		for _, old := range before {
			if protocol(old) != "" {
				c.field(name, old, findField(after, protocol, protocol(old)), way)
			}
		}
		for _, now := range after {
			if protocol(now) != "" && findField(before, protocol, protocol(now)) == nil && way == toHub && !now.Optional {
				c.add("the required field %s was added to %s, which clients send; mark it omitempty, and take its absence for the old behaviour", fieldName(now), name)
			}
		}
	}
}

// field compares a field with its successor. Clients that receive a struct miss a removed
// field; an additional one that they send is ignored.
func (c *comparison) field(name string, old describedField, now *describedField, way direction) {
	switch {
	case now == nil:
		if way == toClient {
			c.add("field %s was removed from %s, which clients receive; keep it, and send its zero value", fieldName(old), name)
		}
	case !c.same(old.Type, now.Type, way):
		c.add("field %s of %s was %s and is %s; add a field with another name", fieldName(old), name, old.Type, now.Type)
	case now.Optional && !old.Optional && way == toClient:
		c.add("field %s of %s, which clients receive, may now be missing; send it always", fieldName(old), name)
	}
}

func (f describedField) jsonName() string        { return f.JSON }
func (f describedField) messagePackName() string { return f.MessagePack }

func findField(all []describedField, protocol func(describedField) string, name string) *describedField {
	i := slices.IndexFunc(all, func(f describedField) bool { return protocol(f) == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func fieldName(f describedField) string {
	if f.JSON == "" {
		return f.MessagePack
	}
	return f.JSON
}

func (c *comparison) values(name string, before, after []string) {
	for _, v := range before {
		if !slices.Contains(after, v) {
			c.add("the value %s was removed from %s; keep the constant", v, name)
		}
	}
}
