// Package cures knows how boxes between clients and servers give themselves away, and
// what to write into each against what. The program's doctor and the page that
// diagnoses share it.
package cures

import (
	_ "embed" // the tables
	"encoding/json"
	"slices"
)

// JSON is everything, for the page.
//
//go:embed cures.json
var JSON []byte

// Cure is what helps against something: what to do, and the lines to write. In them
// $HOST, $PORT and $PATH stand for the hub's, $UP for the server behind the proxy.
type Cure struct {
	Text  string   `json:"text"`
	Lines []string `json:"lines"`
}

// Mark is what a box writes, in lower case, into headers that say who it is.
type Mark struct{ Mark, Kind string }

// Header is one in which boxes give themselves away. Own is the kind of who sends it
// at all; empty: anybody does.
type Header struct{ Header, Own string }

type tables struct {
	Statuses map[int]string
	Marks    []Mark
	Telling  []Header
	Boxes    map[string]map[string]Cure
	General  map[string]Cure
}

var all = func() (t tables) {
	if err := json.Unmarshal(JSON, &t); err != nil {
		panic(err) // a test reads it
	}
	return t
}()

// The tables: the code of a finding by the status of a negotiation that fails, marks in the
// order in which they are looked for, cures by the kind of a box and the code of a finding,
// and those for boxes that are not known.
var (
	Statuses = all.Statuses
	Marks    = all.Marks
	Telling  = all.Telling
	Boxes    = all.Boxes
	General  = all.General
)

// Kinds are those of the boxes that something can be written into.
func Kinds() (kinds []string) {
	for _, m := range Marks {
		if Boxes[m.Kind] != nil && !slices.Contains(kinds, m.Kind) {
			kinds = append(kinds, m.Kind)
		}
	}
	return kinds
}
