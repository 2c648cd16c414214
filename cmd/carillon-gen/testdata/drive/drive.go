// Package drive checks generated code: it serves hubs that return their arguments, invokes
// their methods with random values, and writes TypeScript that does the same.
package drive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

// Package is a package with a random contract.
type Package struct {
	Name  string
	Serve func(*hub.Hub)
	Check func(*Case)
}

// Case is a package with one protocol.
type Case struct {
	context.Context
	Conn     *client.HubConnection
	protocol protocol.HubProtocol
	random   *rand.Rand
	received chan string
	script   strings.Builder
	faults   []error
}

// Main checks all packages in Go, writes the TypeScript, and then serves the packages until
// its standard input ends.
func Main(folder string, all []Package) {
	mux := http.NewServeMux()
	for _, p := range all {
		h := hub.New(hub.Options{MaxParallelInvocations: 4, DetailedErrors: true})
		p.Serve(h)
		e := endpoint.New(h, endpoint.Options{})
		mux.Handle("/"+p.Name, e)
		mux.Handle("/"+p.Name+"/", e)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(l, mux)) }()
	failed := false
	for _, p := range all {
		for _, encoding := range []protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()} {
			if err := check(folder, p, "http://"+l.Addr().String()+"/"+p.Name, encoding); err != nil {
				fmt.Printf("%s by %s: %v\n", p.Name, encoding.Name(), err)
				failed = true
			}
		}
	}
	if failed {
		os.Exit(1)
	}
	fmt.Println("http://" + l.Addr().String())
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func check(folder string, p Package, url string, encoding protocol.HubProtocol) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := &Case{
		Context: ctx, Conn: client.New(url, client.Options{Protocol: encoding}), protocol: encoding,
		random: rand.New(rand.NewPCG(1, uint64(len(p.Name)))), received: make(chan string, 10),
	}
	p.Check(c)
	if err := c.Conn.Stop(ctx); err != nil {
		c.fail(err)
	}
	script := strings.ReplaceAll(c.script.String(), "$PROTOCOL", map[bool]string{false: "", true: "new MessagePackHubProtocol()"}[encoding.Binary()])
	script = strings.ReplaceAll(script, "$ENCODING", encoding.Name())
	return errors.Join(append(c.faults, os.WriteFile(filepath.Join(folder, p.Name, "check."+encoding.Name()+".ts"), []byte(script), 0o600))...)
}

func (c *Case) fail(err error) { c.faults = append(c.faults, err) }

// Start connects.
func (c *Case) Start() {
	if err := c.Conn.Start(c); err != nil {
		c.fail(err)
	}
}

// Script adds lines to the TypeScript; $1 and so on are the values as literals.
func (c *Case) Script(text string, values ...any) {
	for i := len(values); i > 0; i-- {
		text = strings.ReplaceAll(text, fmt.Sprint("$", i), c.literal(values[i-1]))
	}
	c.script.WriteString(text + "\n")
}

// Same checks a result.
func Same(c *Case, what string, got, want any, err error) {
	if err != nil {
		c.fail(fmt.Errorf("%s: %w", what, err))
	} else if g, w := c.text(got), c.text(want); g != w {
		c.fail(fmt.Errorf("%s: got %q, want %q", what, g, w))
	}
}

// Failed checks that a call failed as it should.
func Failed(c *Case, what string, err error) {
	if refused := new(client.HubError); !errors.As(err, &refused) || !strings.Contains(err.Error(), "refused") {
		c.fail(fmt.Errorf("%s: %w", what, err))
	}
}

// Received notes an invocation by the hub.
func Received(c *Case, args ...any) error {
	c.received <- c.text(arguments(args))
	return nil
}

// Pushed checks the oldest invocation by the hub.
func Pushed(c *Case, what string, err error, args ...any) {
	if err != nil {
		c.fail(fmt.Errorf("%s: %w", what, err))
		return
	}
	select {
	case got := <-c.received:
		if want := c.text(arguments(args)); got != want {
			c.fail(fmt.Errorf("%s: received %q, want %q", what, got, want))
		}
	case <-c.Done():
		c.fail(fmt.Errorf("%s: nothing was received", what))
	}
}

// Items is a stream.
func Items[T any](items ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Collect reads a stream.
func Collect[T any](items iter.Seq2[T, error], err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	var all []T
	for item, err := range items {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

type arguments []any

// Last returns the last one of two items.
func Last[T any](items []T, err error) (last T, _ error) {
	if err != nil || len(items) != 2 {
		return last, cmp.Or(err, fmt.Errorf("%d items", len(items)))
	}
	return items[1], nil
}

// encode returns a value on the wire.
func (c *Case) encode(v any) []byte {
	if args, ok := v.(arguments); ok {
		var all []byte
		for _, arg := range args {
			all = append(all, c.encode(arg)...)
		}
		return all
	}
	message, err := c.protocol.AppendResult(nil, "1", v)
	if err != nil {
		panic(fmt.Sprintf("%T: %v", v, err))
	}
	record, _, err := c.protocol.Next(message, 0, 0)
	var m protocol.Message
	if err := cmp.Or(err, c.protocol.Parse(record, &m)); err != nil {
		panic(err)
	}
	return m.Payload
}

func (c *Case) text(v any) string { return string(c.encode(v)) }

// literal returns a value as a client with this protocol gets it, in TypeScript.
func (c *Case) literal(v any) string {
	if !c.protocol.Binary() {
		return c.text(v)
	}
	var decoded any
	if err := c.protocol.Decode(c.encode(v), &decoded); err != nil {
		panic(err)
	}
	return packedLiteral(decoded)
}

func packedLiteral(v any) string {
	switch v := v.(type) {
	case []byte:
		return "new Uint8Array(" + strings.ReplaceAll(fmt.Sprint(v), " ", ", ") + ")"
	case time.Time:
		return fmt.Sprintf("new Date(%d)", v.UnixMilli())
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = packedLiteral(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for name, value := range v {
			parts = append(parts, packedLiteral(name)+": "+packedLiteral(value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

var enumerations = map[reflect.Type][]reflect.Value{}

// Enumeration tells the values of a type.
func Enumeration[T any](values ...T) bool {
	for _, v := range values {
		enumerations[reflect.TypeFor[T]()] = append(enumerations[reflect.TypeFor[T]()], reflect.ValueOf(v))
	}
	return true
}

// Value returns a random value.
func Value[T any](c *Case) T {
	var v T
	c.fill(reflect.ValueOf(&v).Elem(), 0)
	return v
}
