package endpoint_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/transports"
)

func TestOptionsListThoseOfConnections(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("endpoint.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[transports.Options]()) {
		if !strings.Contains(string(source), "\n\t//\t"+field.Name+" ") {
			t.Errorf("the comment of endpoint.Options does not name %s", field.Name)
		}
	}
}
