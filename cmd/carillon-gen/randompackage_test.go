package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// randomPackage is a package with a random pair of interfaces, an implementation that
// returns its arguments, and a check that invokes all methods. Half of its types are in a
// package of their own, some of them with the same names.
type randomPackage struct {
	*rand.Rand
	name  string
	own   strings.Builder // declarations of the package
	other strings.Builder // declarations of its package model
	types []string        // expressions that may be used
	keys  []string        // types of keys of maps

	hub, base, client strings.Builder // methods of the interfaces
	impl, receiver    strings.Builder // their implementations
	check             strings.Builder // the calls
	handler           strings.Builder // of the client's methods, in TypeScript
	hasAsk            bool
}

func newRandomPackage(name string, r *rand.Rand) *randomPackage {
	p := &randomPackage{Rand: r, name: name, keys: []string{"string", "model.Code", "protocol.Guid"}}
	p.types = strings.Fields(`bool string int int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 float32 float64 any
		time.Time time.Duration []byte json.Number protocol.Guid protocol.DateTimeOffset model.Code *model.Code`)
	for i := range 8 {
		p.declare(i)
	}
	for i := range 3 + p.IntN(6) {
		p.method(i)
	}
	return p
}

func pick[T any](p *randomPackage, from ...T) T { return from[p.IntN(len(from))] }

// typ returns a type expression.
func (p *randomPackage) typ(depth int) string {
	if depth < 3 {
		switch p.IntN(9) {
		case 0:
			return "*" + p.typ(depth+1)
		case 1:
			return "[]" + p.typ(depth+1)
		case 2:
			return "map[" + pick(p, p.keys...) + "]" + p.typ(depth+1)
		case 3:
			return fmt.Sprintf("[%d]%s", p.IntN(4), p.typ(depth+1))
		case 4:
			return "Page[" + p.typ(depth+1) + "]"
		case 5:
			return "model.Pair[" + pick(p, p.types...) + ", " + p.typ(depth+1) + "]"
		}
	}
	if n := len(p.types); n > 24 && p.IntN(2) == 0 {
		return p.types[24+p.IntN(n-24)] // one that is declared
	}
	return pick(p, p.types...)
}

// declare declares a type, in the package or in package model.
func (p *randomPackage) declare(i int) {
	name, b, qualifier := fmt.Sprint("T", i/2), &p.own, ""
	if i%2 == 0 {
		b, qualifier = &p.other, "model."
	}
	expression := func(depth int) string {
		if qualifier == "" {
			return p.typ(depth)
		}
		for { // package model knows only its own types
			if t := p.typ(depth); !strings.Contains(t, "Page[") && !p.isOwn(t) {
				return strings.ReplaceAll(t, "model.", "")
			}
		}
	}
	switch kind := p.IntN(10); {
	case kind < 2:
		p.enumeration(b, name)
		if p.IntN(2) == 0 {
			break
		}
		fallthrough
	case kind == 2:
		fmt.Fprintf(b, "type A%d = %s\n\n", i, expression(1))
		p.types = append(p.types, qualifier+fmt.Sprint("A", i))
		if kind == 2 {
			return
		}
	case kind == 3:
		fmt.Fprintf(b, "type %s %s\n\n", name, pick(p, "[]byte", "map[string]int", "[]string", "float64", "string", "[2]bool"))
	default:
		p.structure(b, name, qualifier, expression)
	}
	p.types = append(p.types, qualifier+name)
}

// isOwn reports whether an expression has a type of the contract's package.
func (p *randomPackage) isOwn(t string) bool {
	return slices.ContainsFunc(p.types[min(24, len(p.types)):], func(have string) bool {
		return !strings.Contains(have, ".") && strings.Contains(t, have) && !strings.Contains(t, "model."+have)
	}) || slices.ContainsFunc(p.types[min(24, len(p.types)):], func(have string) bool {
		return !strings.Contains(have, ".") && strings.Contains(strings.ReplaceAll(t, "model."+have, ""), have)
	})
}

func (p *randomPackage) enumeration(b *strings.Builder, name string) {
	under := pick(p, "string", "int", "uint8", "int64", "float64")
	values := pick(p, []string{"-1", "0", "7"}, []string{"1", "2"})
	switch under {
	case "string":
		values = []string{`"a"`, `"b \u2028\""`, `""`}
		p.keys = append(p.keys, map[bool]string{true: "model." + name, false: name}[b == &p.other])
	case "uint8":
		values = []string{"1", "255"}
	case "float64":
		values = []string{"0.5", "1e21"}
	}
	fmt.Fprintf(b, "type %s %s\n\n", name, under)
	var names []string
	for i, v := range values {
		names = append(names, fmt.Sprintf("%sValue%d", name, i))
		fmt.Fprintf(b, "const %s %s = %s\n", names[i], name, v)
	}
	fmt.Fprintf(b, "\nvar _ = drive.Enumeration(%s)\n\n", strings.Join(names, ", "))
}

func (p *randomPackage) structure(b *strings.Builder, name, qualifier string, expression func(int) string) {
	fmt.Fprintf(b, "type %s struct {\n", name)
	for _, embedded := range p.embeddable(qualifier) {
		if p.IntN(4) == 0 {
			fmt.Fprintf(b, "\t%s%s\n", pick(p, "", "*"), embedded)
		}
	}
	if p.IntN(3) == 0 {
		fmt.Fprintf(b, "\tSelf %s%s %s\n", pick(p, "*", "[]", "map[string]"), name, p.tag("self"))
	}
	fields := []string{"ID", "Name", "URL", "HTTPServer", "X", "Class", "Über", "A_b", "Then"}
	p.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	for _, f := range fields[:p.IntN(6)] {
		fmt.Fprintf(b, "\t%s %s %s\n", f, expression(0), p.tag(f))
	}
	b.WriteString("}\n\n")
}

// embeddable returns structs that a struct may embed.
func (p *randomPackage) embeddable(qualifier string) []string {
	if qualifier != "" {
		return []string{"Base", "Deep"}
	}
	return []string{"model.Base", "small"}
}

// tag returns a field's tags, whose names are sometimes those of other fields.
func (p *randomPackage) tag(name string) string {
	switch p.IntN(6) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("`json:\"%s%s\" msgpack:\"%s\"`", strings.ToLower(name), pick(p, "", ",omitempty", ",omitzero", ",string"), name)
	case 2:
		return fmt.Sprintf("`json:\"%s\" msgpack:\"%s%s\"`", pick(p, "a-b", "class", "id", name), pick(p, "p", "id", name), pick(p, "", ",omitempty"))
	case 3:
		return pick(p, "`json:\"-\"`", "`msgpack:\"-\"`", "`json:\",omitempty\"`", "`json:\",string\"`")
	}
	return fmt.Sprintf("`json:\"%s\" msgpack:\"%s\"`", lowerFirst(name), lowerFirst(name))
}

// randomMethod is a method while it is made.
type randomMethod struct {
	name, member string // in Go, in TypeScript
	types        []string
	values       string // "a1, a2"
	placeholders string // "$1, $2"
	params       string // "a1 T, a2 U"
}

func (p *randomPackage) newMethod(prefix string, i, least, most int) randomMethod {
	m := randomMethod{name: fmt.Sprint(prefix, i)}
	if i == 0 {
		m.name = pick(p, "Connection", "ToString", "Über", m.name)
		if prefix == "Echo" {
			m.name = pick(p, "Constructor", m.name) // a name that a client cannot receive
		}
	}
	m.member = tsMethod(method{name: m.name})
	var values, placeholders, params []string
	names := strings.Fields("room time context string error function a to hub client iter arg1 arg2 h conn new class _ id T1")
	p.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for j := range least + p.IntN(most-least+1) {
		m.types = append(m.types, p.typ(0))
		values, placeholders = append(values, fmt.Sprint("a", j+1)), append(placeholders, fmt.Sprint("$", j+1))
		params = append(params, names[j]+" "+m.types[j])
	}
	m.values, m.placeholders, m.params = strings.Join(values, ", "), strings.Join(placeholders, ", "), strings.Join(params, ", ")
	return m
}

// implParams returns the parameters with usable names.
func (m randomMethod) implParams() string {
	list := []string{"ctx context.Context"}
	for i, t := range m.types {
		list = append(list, fmt.Sprintf("a%d %s", i+1, t))
	}
	return strings.Join(list, ", ")
}

// declareIn writes a method of an interface and its implementation.
func (m randomMethod) declareIn(p *randomPackage, b, impl *strings.Builder, receiver, more, results, body string) {
	if p.IntN(5) == 0 {
		fmt.Fprintf(b, "\t//carillon:name %s-on-the-wire\n", m.name)
	}
	params := "ctx context.Context"
	if m.params != "" {
		params += ", " + m.params
	}
	fmt.Fprintf(b, "\t%s(%s%s) %s\n", m.name, params, strings.ReplaceAll(more, "items ", "source "), results)
	fmt.Fprintf(impl, "func (s %s) %s(%s%s) %s {\n%s\n}\n\n", receiver, m.name, m.implParams(), more, results, body)
}

// method adds a method of the hub, and perhaps one of the client.
func (p *randomPackage) method(i int) {
	b := &p.hub
	if p.IntN(4) == 0 {
		b = &p.base // an embedded interface
	}
	switch p.IntN(7) {
	case 0, 1:
		m := p.newMethod("Echo", i, 1, 6)
		m.declareIn(p, b, &p.impl, "server", "", "("+m.types[0]+", error)", "\treturn a1, nil")
		p.call(m, "got, err := hub.%s(c, %s)\ndrive.Same(c, %q, got, a1, err)", "equal(%[3]q, await hub.%[1]s(%[2]s), $1);")
	case 2:
		p.push(b, i)
	case 3:
		p.ask(b, i)
	case 4:
		m := p.newMethod("Down", i, 1, 4)
		m.declareIn(p, b, &p.impl, "server", "", "(iter.Seq2["+m.types[0]+", error], error)", "\treturn drive.Items(a1, a1), nil")
		p.call(m, "got, err := drive.Collect(hub.%s(c, %s))\ndrive.Same(c, %q, got, ["+"]"+m.types[0]+"{a1, a1}, err)", "equal(%[3]q, await collect(hub.%[1]s(%[2]s)), [$1, $1]);")
	case 5:
		m := p.newMethod("Up", i, 1, 5)
		t := m.types[0]
		m.declareIn(p, b, &p.impl, "server", ", items iter.Seq2["+t+", error]", "("+t+", error)", "\treturn drive.Last(drive.Collect(items, nil))")
		p.call(m, "got, err := hub.%s(c, %s, drive.Items(a1, a1))\ndrive.Same(c, %q, got, a1, err)", "equal(%[3]q, await hub.%[1]s(%[2]s, [$1, $1]), $1);")
	case 6:
		m := p.newMethod("Refuse", i, 0, 3)
		t := p.typ(0)
		m.declareIn(p, b, &p.impl, "server", "", "("+t+", error)", "\treturn empty["+t+"](carillon.NewError(\"refused\"))")
		p.call(m, "_, err := hub.%s(c, %s)\ndrive.Failed(c, %q, err)", "await rejects(%[3]q, hub.%[1]s(%[2]s));")
	}
}

// push adds a method by which the hub invokes one of the client.
func (p *randomPackage) push(b *strings.Builder, i int) {
	m := p.newMethod("Push", i, 0, 6)
	m.declareIn(p, b, &p.impl, "server", "", "error", fmt.Sprintf("\treturn s.caller(ctx).%s(%s)", m.name, strings.TrimSuffix("ctx, "+m.values, ", ")))
	m.declareIn(p, &p.client, &p.receiver, "receiver", "", "error", fmt.Sprintf("\treturn drive.Received(s.c, %s)", m.values))
	fmt.Fprintf(&p.handler, "%s: (...args) => { pushed.push(args); }, ", m.member)
	p.call(m, "err := hub.%s(c, %s)\ndrive.Pushed(c, %q, err, "+m.values+")", "await hub.%[1]s(%[2]s);\nequal(%[3]q, pushed.pop(), [%[2]s]);")
}

// ask adds a method by which the hub asks the client.
func (p *randomPackage) ask(b *strings.Builder, i int) {
	p.hasAsk = true
	m := p.newMethod("Ask", i, 1, 6)
	m.declareIn(p, b, &p.impl, "server", "", "("+m.types[0]+", error)", fmt.Sprintf("\treturn s.caller(ctx).%s(ctx, %s)", m.name, m.values))
	m.declareIn(p, &p.client, &p.receiver, "receiver", "", "("+m.types[0]+", error)", "\treturn a1, nil")
	fmt.Fprintf(&p.handler, "%s: (answer) => answer, ", m.member)
	p.call(m, "got, err := hub.%s(c, %s)\ndrive.Same(c, %q, got, a1, err)", "equal(%[3]q, await hub.%[1]s(%[2]s), $1);")
}

// call adds the check of a method.
func (p *randomPackage) call(m randomMethod, code, script string) {
	p.check.WriteString("\t{\n")
	for i, t := range m.types {
		fmt.Fprintf(&p.check, "\t\ta%d := drive.Value[%s](c)\n", i+1, t)
	}
	code = strings.ReplaceAll(fmt.Sprintf(code, m.name, m.values, m.name), ", )", ")")
	fmt.Fprintf(&p.check, "%s\n", strings.ReplaceAll(code, "(c, ,", "(c,"))
	script = fmt.Sprintf(script, m.member, m.placeholders, m.name)
	fmt.Fprintf(&p.check, "\t\tc.Script(%q, %s)\n\t}\n", script, m.values)
}

// archive returns the files of the package.
func (p *randomPackage) archive() string {
	var b strings.Builder
	if err := randomArchive.Execute(&b, p.data()); err != nil {
		panic(err)
	}
	return b.String()
}

func (p *randomPackage) data() map[string]any {
	return map[string]any{
		"Name": p.name, "Hub": p.hub.String(), "Base": p.base.String(), "Client": p.client.String(),
		"Own": p.own.String(), "Other": p.other.String(), "Impl": p.impl.String(), "Receiver": p.receiver.String(),
		"Check": p.check.String(), "Handlers": p.handler.String(), "HasAsk": p.hasAsk,
		"HasPush": strings.Contains(p.handler.String(), "pushed"), "HasClient": p.client.Len() > 0,
	}
}
