package hub

// params are the parameters of one call.
type params interface {
	targets() []any // pointers to the parameters, in order
	values() []any  // copies of the parameters, in order
}

type params0 struct{}

func (*params0) targets() []any { return nil }
func (*params0) values() []any  { return nil }

type params1[A any] struct {
	a    A
	ptrs [1]any
}

func (p *params1[A]) targets() []any {
	p.ptrs = [...]any{&p.a}
	return p.ptrs[:]
}

func (p *params1[A]) values() []any { return []any{p.a} }

type params2[A, B any] struct {
	a    A
	b    B
	ptrs [2]any
}

func (p *params2[A, B]) targets() []any {
	p.ptrs = [...]any{&p.a, &p.b}
	return p.ptrs[:]
}

func (p *params2[A, B]) values() []any { return []any{p.a, p.b} }

type params3[A, B, C any] struct {
	a    A
	b    B
	c    C
	ptrs [3]any
}

func (p *params3[A, B, C]) targets() []any {
	p.ptrs = [...]any{&p.a, &p.b, &p.c}
	return p.ptrs[:]
}

func (p *params3[A, B, C]) values() []any { return []any{p.a, p.b, p.c} }

type params4[A, B, C, D any] struct {
	a    A
	b    B
	c    C
	d    D
	ptrs [4]any
}

func (p *params4[A, B, C, D]) targets() []any {
	p.ptrs = [...]any{&p.a, &p.b, &p.c, &p.d}
	return p.ptrs[:]
}

func (p *params4[A, B, C, D]) values() []any { return []any{p.a, p.b, p.c, p.d} }

type params5[A, B, C, D, E any] struct {
	a    A
	b    B
	c    C
	d    D
	e    E
	ptrs [5]any
}

func (p *params5[A, B, C, D, E]) targets() []any {
	p.ptrs = [...]any{&p.a, &p.b, &p.c, &p.d, &p.e}
	return p.ptrs[:]
}

func (p *params5[A, B, C, D, E]) values() []any { return []any{p.a, p.b, p.c, p.d, p.e} }

type params6[A, B, C, D, E, F any] struct {
	a    A
	b    B
	c    C
	d    D
	e    E
	f    F
	ptrs [6]any
}

func (p *params6[A, B, C, D, E, F]) targets() []any {
	p.ptrs = [...]any{&p.a, &p.b, &p.c, &p.d, &p.e, &p.f}
	return p.ptrs[:]
}

func (p *params6[A, B, C, D, E, F]) values() []any { return []any{p.a, p.b, p.c, p.d, p.e, p.f} }
