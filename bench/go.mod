module github.com/carillon-go/carillon/bench

go 1.26.0

require github.com/carillon-go/carillon v0.0.0

require (
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/philhofer/fwd v1.2.0 // indirect
	github.com/tinylib/msgp v1.6.5 // indirect
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)

replace github.com/carillon-go/carillon => ../
