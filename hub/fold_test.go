package hub_test

import (
	"context"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// Names differ in case as in .NET: no letter outside ASCII stands for one of ASCII.
func TestMethodNamesWithoutCase(t *testing.T) {
	h := hub.New(hub.Options{})
	for _, name := range []string{"Kiss", "Über", "Σοφία"} {
		h.Handle(name, hub.Func0(func(context.Context) (string, error) { return name, nil }))
	}
	c := connect(t, h, clientOptions{})
	for target, name := range map[string]string{"kISS": "Kiss", "über": "Über", "ΣΟΦίΑ": "Σοφία"} {
		c.send(call("1", target, ""))
		c.want(result("1", `"`+name+`"`))
	}
	for _, target := range []string{"\u212aiss", "Ki\u017fs", "K\u0131ss", "K\u0130ss"} {
		c.send(call("1", target, ""))
		c.want(failed("1", "Failed to invoke '"+target+"' due to an error on the server. "+noMethod))
	}
}
