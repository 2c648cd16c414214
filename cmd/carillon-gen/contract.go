package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// description is the content of a contract file.
type description struct {
	Hub       string                    `json:"hub"`
	Client    string                    `json:"client"`
	Methods   []describedMethod         `json:"methods"`
	Receivers []describedMethod         `json:"receivers"`
	Types     map[string]*describedType `json:"types"`
}

// describedMethod is a method on the wire.
type describedMethod struct {
	Name   string           `json:"name"`
	Params []describedParam `json:"params,omitempty"`
	// Result is the type of the result, or of an item of the stream. Empty: none.
	Result string `json:"result,omitempty"`
	Stream bool   `json:"stream,omitempty"`
}

type describedParam struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Stream bool   `json:"stream,omitempty"`
}

// describedType is a struct or an enumeration.
type describedType struct {
	Fields []describedField `json:"fields,omitempty"`
	Values []string         `json:"values,omitempty"`
}

type describedField struct {
	JSON        string `json:"json,omitempty"`
	MessagePack string `json:"messagepack,omitempty"`
	Type        string `json:"type"`
	Optional    bool   `json:"optional,omitempty"`
}

// describe returns the contract file: methods and types in the order of their names.
func describe(c *contract) ([]byte, error) {
	d := description{Hub: c.hub, Client: c.client, Methods: describeMethods(c.invoked), Receivers: describeMethods(c.received), Types: map[string]*describedType{}}
	for _, t := range c.shapes.definitions() {
		d.Types[t.name] = &describedType{Fields: describeFields(t), Values: slices.Sorted(slices.Values(t.values))}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

func describeMethods(all []method) []describedMethod {
	described := []describedMethod{}
	for _, m := range all {
		d := describedMethod{Name: m.wire, Stream: m.stream}
		for _, p := range m.params {
			d.Params = append(d.Params, describedParam{p.name, p.shape.String(), p.stream})
		}
		if m.shape != nil {
			d.Result = m.shape.String()
		}
		described = append(described, d)
	}
	slices.SortFunc(described, func(a, b describedMethod) int { return cmp.Compare(a.Name, b.Name) })
	return described
}

// describeFields returns the fields of a struct. A field is optional if it is so by one of
// the protocols: an application need not have tags for both.
func describeFields(d *definition) []describedField {
	var described []describedField
	for _, f := range d.json {
		one := describedField{JSON: f.name, Type: f.shape.String(), Optional: f.optional}
		if f.quoted {
			one.Type += ",string"
		}
		described = append(described, one)
	}
	for _, f := range d.msgpack {
		if i := slices.IndexFunc(d.json, func(o field) bool { return o.v == f.v }); i >= 0 {
			described[i].MessagePack, described[i].Optional = f.name, described[i].Optional || f.optional
		} else {
			described = append(described, describedField{MessagePack: f.name, Type: f.shape.String(), Optional: f.optional})
		}
	}
	slices.SortFunc(described, func(a, b describedField) int {
		return cmp.Or(cmp.Compare(a.JSON, b.JSON), cmp.Compare(a.MessagePack, b.MessagePack))
	})
	return described
}

// checkContract returns an error if the new contract breaks clients of the one on the
// disk. It names each break and a way without one.
func checkContract(f file) error {
	have, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var before, after description
	if err := json.Unmarshal(have, &before); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := json.Unmarshal(f.content, &after); err != nil {
		return err
	}
	breaks := compare(before, after)
	if len(breaks) == 0 {
		return nil
	}
	for i, b := range breaks {
		breaks[i] = fmt.Errorf("%s: %w", f.path, b)
	}
	return fmt.Errorf("%w\ndeployed clients would break; if that is wanted, remove %s and generate again", errors.Join(breaks...), f.path)
}
