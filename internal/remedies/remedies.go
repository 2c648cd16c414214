// Package remedies knows how to recognize boxes between clients and servers, and which
// setting of a box helps against which fault. The program's doctor and the diagnosis page
// share it.
package remedies

import (
	_ "embed" // the tables
	"encoding/json"
	"slices"
)

// JSON holds all tables, for the page.
//
//go:embed remedies.json
var JSON []byte

// Remedy is an instruction, and the lines of configuration. In them $HOST, $PORT
// and $PATH stand for the hub's address, $UP for the server behind the proxy.
type Remedy struct {
	Text  string   `json:"text"`
	Lines []string `json:"lines"`
}

// Mark is the text, in lower case, by which a box is recognized in a header.
type Mark struct{ Mark, Kind string }

// Header is a header in which boxes are recognized. Own is the only kind of box that
// sends it; empty means that any box may send it.
type Header struct{ Header, Own string }

type tables struct {
	Statuses map[int]string
	Marks    []Mark
	Telling  []Header
	Boxes    map[string]map[string]Remedy
	General  map[string]Remedy
}

var all = func() (t tables) {
	if err := json.Unmarshal(JSON, &t); err != nil {
		panic(err) // cannot happen: a test parses the tables
	}
	return t
}()

// The tables: the code of a finding by the status of a failed negotiation, marks in the
// order in which they are searched, remedies by the kind of a box and the code of a finding,
// and the remedies for unknown boxes.
var (
	Statuses = all.Statuses
	Marks    = all.Marks
	Telling  = all.Telling
	Boxes    = all.Boxes
	General  = all.General
)

// Kinds returns the kinds of boxes for which there are remedies.
func Kinds() (kinds []string) {
	for _, m := range Marks {
		if Boxes[m.Kind] != nil && !slices.Contains(kinds, m.Kind) {
			kinds = append(kinds, m.Kind)
		}
	}
	return kinds
}
