// The generator of typed contracts, for the go:generate lines of this repository. Its
// dependencies are not the library's.
module github.com/carillon-go/carillon/tools

go 1.26.0

tool github.com/carillon-go/carillon/cmd/carillon-gen

require (
	github.com/carillon-go/carillon/cmd/carillon-gen v0.0.0 // indirect
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/tools v0.52.0 // indirect
)

replace github.com/carillon-go/carillon/cmd/carillon-gen => ./cmd/carillon-gen
