package drive

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// text is implemented by types that encode themselves as text.
type text interface{ SetRandom(n int) }

func (c *Case) fill(v reflect.Value, depth int) {
	if values := enumerations[v.Type()]; len(values) > 0 {
		v.Set(values[c.random.IntN(len(values))])
		return
	}
	if t, ok := v.Addr().Interface().(text); ok {
		t.SetRandom(c.random.IntN(1000))
		return
	}
	if known := c.known(v.Interface()); known != nil {
		v.Set(reflect.ValueOf(known))
		return
	}
	isNil := depth > 4 || c.random.IntN(4) == 0
	switch v.Kind() {
	case reflect.Pointer:
		if !isNil {
			v.Set(reflect.New(v.Type().Elem()))
			if c.fill(v.Elem(), depth+1); isNull(v.Elem()) {
				v.SetZero() // null cannot be told from a pointer to it
			}
		}
	case reflect.Slice:
		if !isNil {
			v.Set(reflect.MakeSlice(v.Type(), c.random.IntN(3), 3))
			c.elements(v, depth)
		}
	case reflect.Array:
		c.elements(v, depth)
	case reflect.Map:
		if !isNil {
			v.Set(reflect.MakeMap(v.Type()))
			for range c.random.IntN(3) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				c.fill(key, depth+1)
				c.fill(value, depth+1)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct {
				c.field(v.Field(i), depth+1)
			}
		}
	case reflect.Interface:
		if !isNil {
			v.Set(reflect.ValueOf(c.anything()))
		}
	default:
		c.basic(v)
	}
}

func isNull(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	}
	return false
}

// field fills a field. The fields of an embedded struct that is not exported can be set,
// but not the struct.
func (c *Case) field(v reflect.Value, depth int) {
	if v.CanSet() {
		c.fill(v, depth)
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			c.field(v.Field(i), depth)
		}
	}
}

func (c *Case) elements(v reflect.Value, depth int) {
	for i := range v.Len() {
		c.fill(v.Index(i), depth+1)
	}
}

// known returns values of types with a form of their own. JavaScript's dates have
// milliseconds.
func (c *Case) known(v any) any {
	n := c.random.Int64N(1 << 40)
	switch v.(type) {
	case time.Time:
		return c.time(n)
	case protocol.DateTimeOffset:
		return protocol.DateTimeOffset{Time: c.time(n).In(time.FixedZone("", (c.random.IntN(27)-13)*3600))}
	case time.Duration:
		return time.Duration(n/100*100) * time.Duration(c.random.IntN(3)-1)
	case json.Number:
		return json.Number(fmt.Sprintf("%d.5", n%1000))
	case json.RawMessage:
		return json.RawMessage(fmt.Sprintf(`{"n":[%d,null]}`, n%1000))
	case protocol.Guid:
		return protocol.Guid{byte(n), 1, 2, byte(n >> 8)}
	}
	return nil
}

func (c *Case) time(n int64) time.Time {
	if c.protocol.Binary() {
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n>>10, n%10_000_000*100).UTC()
}

func (c *Case) anything() any {
	switch c.random.IntN(4) {
	case 0:
		return c.string()
	case 1:
		return true
	case 2:
		return []any{"a", nil, []any{}}
	}
	return map[string]any{"x y": c.string(), "b": false}
}

func (c *Case) string() string {
	all := []string{"", "a", "\"\\/", "ü\u2028", "😀", "null", "1.5", "\x00\n</script>"}
	return all[c.random.IntN(len(all))]
}

func (c *Case) basic(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(c.random.IntN(2) == 0)
	case v.Kind() == reflect.String:
		v.SetString(c.string())
	case v.CanInt():
		bits := min(v.Type().Bits()-1, 53)
		v.SetInt((c.random.Int64N(1 << bits)) * int64(c.random.IntN(2)*2-1))
	case v.CanUint():
		v.SetUint(uint64(c.random.Int64N(1 << min(v.Type().Bits(), 53))))
	case v.CanFloat():
		v.SetFloat(float64(c.random.IntN(2000)-1000) / 8)
	default:
		panic(v.Type())
	}
}
