package endpoint

import "github.com/carillon-go/carillon/internal/fold"

// The names of the parts: an endpoint serves them at {path}/negotiate and so on.
const (
	negotiatePart = "negotiate"
	refreshPart   = "refresh"
	eventsPart    = "events"
	scriptPart    = "carillon.js"
	diagnosePart  = "diagnose"
	contractPart  = "contract.json"
)

// Paths holds the paths of an endpoint, for applications that route or guard them one by one.
type Paths struct {
	// Clients are the paths that clients use. They ignore case and may end in a slash.
	Clients []string
	// Script is the path of carillon.js, which gives the official JavaScript client a
	// WebSocket with a time limit, and Diagnose that of Options.Diagnose. A browser sends no
	// token to them.
	Script, Diagnose string
	// Contract is the path of Options.Contract.
	Contract string
}

// PathsAt returns the paths of an endpoint that is mounted at path. path has no slash at its
// end.
func PathsAt(path string) Paths {
	return Paths{
		Clients:  []string{path, path + "/" + negotiatePart, path + "/" + eventsPart, path + "/" + refreshPart},
		Script:   path + "/" + scriptPart,
		Diagnose: path + "/" + diagnosePart,
		Contract: path + "/" + contractPart,
	}
}

// IsPart reports whether a segment of a path is the name of a part of an endpoint, in any case.
// The path of an endpoint must not end in such a segment.
func IsPart(segment string) bool {
	for _, part := range []string{negotiatePart, refreshPart, eventsPart, scriptPart, diagnosePart, contractPart} {
		if fold.Equal(segment, part) {
			return true
		}
	}
	return false
}
