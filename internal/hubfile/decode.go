package hubfile

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/internal/fold"
)

// decoder sets the fields of settings from a tree. It notes every error and continues.
type decoder struct {
	lines  map[string]int // by path
	errors []*placed
	values int // that were set
}

// maxValues is the number of values that a decoder sets. An alias stands for many.
const maxValues = 100_000

// count notes a value, and reports whether there may be one more.
func (d *decoder) count(n *node, path string) bool {
	if d.values++; d.values == maxValues {
		d.fail(n.line, path, "the file has more than %d values after its aliases are replaced", maxValues)
	}
	return d.values < maxValues
}

// maxErrors is the number of errors that a decoder notes.
const maxErrors = 50

// fail notes an error about a place.
func (d *decoder) fail(line int, path, format string, args ...any) {
	switch n := len(d.errors); {
	case n < maxErrors:
		d.errors = append(d.errors, &placed{line, path, fmt.Errorf(format, args...)})
	case n == maxErrors:
		d.errors = append(d.errors, &placed{line, "", errors.New("there are more errors")})
	}
}

// fields sets the fields of a struct from a mapping at a path.
func (d *decoder) fields(n *node, path string, v reflect.Value) {
	if n.kind != mapping {
		d.wrong(n, path, "keys with values below it")
		return
	}
	if settings, ok := v.Addr().Interface().(defaulted); ok {
		settings.setDefaults()
	}
	var known []string
	for f := range fieldsOf(v.Type()) {
		known = append(known, f.Tag.Get("key"))
		if f.Tag.Get("required") != "" && n.find(f.Tag.Get("key")) == nil {
			d.fail(n.line, join(path, f.Tag.Get("key")), "the setting is missing")
		}
	}
	for _, p := range n.pairs {
		at := join(path, p.key)
		d.lines[at] = p.line
		f, ok := fieldWith(v.Type(), p.key)
		if !ok {
			d.fail(p.line, at, "%w", unknown(p.key, known))
			continue
		}
		d.value(p.value, at, v.FieldByIndex(f.Index), f.Tag)
	}
}

// fieldsOf yields the fields of a struct that have a key.
func fieldsOf(t reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("key") != "" && !yield(f) {
				return
			}
		}
	}
}

// fieldWith returns the field of a struct with a key.
func fieldWith(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range fieldsOf(t) {
		if f.Tag.Get("key") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// unknown returns the error for a key that is not among those that are known.
func unknown(key string, known []string) error {
	return fmt.Errorf("there is no such setting; the nearest name is %q", Nearest(key, known))
}

// wrong notes that a value has the wrong kind.
func (d *decoder) wrong(n *node, path, right string) {
	found := map[kind]string{null: "no value", list: "a list", mapping: "keys with values", boolean: "true or false", number: "a number", text: "a text"}[n.kind]
	d.fail(n.line, path, "the setting has %s; it needs %s", found, right)
}

// value sets a field from a value at a path. The tags of the field name the allowed values.
func (d *decoder) value(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	switch t := v.Type(); {
	case !d.count(n, path):
	case t == reflect.TypeFor[time.Duration]():
		d.duration(n, path, v, tag)
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.fields(n, path, v.Elem())
	case t.Kind() == reflect.Struct:
		d.fields(n, path, v)
	case t.Kind() == reflect.Map:
		d.texts(n, path, v, tag)
	case t.Kind() == reflect.Slice:
		d.list(n, path, v, tag)
	case t.Kind() == reflect.Int:
		d.integer(n, path, v, tag)
	case t.Kind() == reflect.Bool:
		if n.kind != boolean {
			d.wrong(n, path, "true or false")
			return
		}
		v.SetBool(n.text == "true")
	default:
		if s, ok := d.text(n, path, tag); ok {
			v.SetString(s)
		}
	}
}

// text returns a text that the tag enum allows.
func (d *decoder) text(n *node, path string, tag reflect.StructTag) (string, bool) {
	names := tag.Get("enum")
	if n.kind != text && (n.kind != number || names != "") {
		d.wrong(n, path, cmp.Or(names, "a text"))
		return "", false
	}
	if names == "" {
		if n.text == "" {
			d.fail(n.line, path, "the text is empty; remove the key for the default")
		}
		return n.text, n.text != ""
	}
	all := strings.Split(names, ",")
	for _, name := range all {
		if fold.Equal(n.text, name) {
			return name, true
		}
	}
	d.fail(n.line, path, "%q is not one of %s; the nearest is %s", n.text, strings.Join(all, ", "), Nearest(n.text, all))
	return "", false
}

// list sets a list of texts or of structs.
func (d *decoder) list(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.kind != list {
		d.wrong(n, path, "a list, such as [a, b]")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.items))) // not nil: the setting has a value
	for i, item := range n.items {
		if !d.count(item, path) {
			return
		}
		one := reflect.New(v.Type().Elem()).Elem()
		if one.Kind() == reflect.Struct {
			at := fmt.Sprintf("%s[%d]", path, i)
			d.lines[at] = item.line
			d.fields(item, at, one)
		} else if s, ok := d.text(item, path, tag); ok {
			one.SetString(s)
		} else {
			continue
		}
		v.Set(reflect.Append(v, one))
	}
}

// texts sets a map from texts to texts.
func (d *decoder) texts(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.kind != mapping {
		d.wrong(n, path, "keys with values below it")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range n.pairs {
		at := join(path, p.key)
		d.lines[at] = p.line
		if !d.count(p.value, at) {
			return
		}
		if s, ok := d.text(p.value, at, tag); ok {
			v.SetMapIndex(reflect.ValueOf(p.key), reflect.ValueOf(s))
		}
	}
}

// integer sets a whole number that the tag min allows.
func (d *decoder) integer(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	i, err := strconv.ParseInt(n.text, 10, strconv.IntSize)
	if n.kind != number || err != nil {
		d.fail(n.line, path, "the setting needs a whole number, such as 1000")
		return
	}
	if least, err := strconv.ParseInt(tag.Get("min"), 10, 64); err == nil && i < least {
		d.fail(n.line, path, "the number must be at least %d", least)
		return
	}
	v.SetInt(i)
}

// duration sets a time that the tag min allows.
func (d *decoder) duration(n *node, path string, v reflect.Value, tag reflect.StructTag) {
	t, err := time.ParseDuration(n.text)
	if n.kind != text && n.text != "0" || err != nil {
		d.fail(n.line, path, "the setting needs a time with its unit, such as 30s or 5m")
		return
	}
	if least, err := time.ParseDuration(tag.Get("min")); err == nil && t < least {
		d.fail(n.line, path, "the time must be at least %s", least)
		return
	}
	v.SetInt(int64(t))
}
