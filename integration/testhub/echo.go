package main

import (
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// echo is a raw application without a handshake. It sends received data back as text.
type echo struct{}

func (echo) Connect(c transports.Connection) (transports.Receiver, error) {
	return echoes{c}, nil
}

type echoes struct{ c transports.Connection }

func (e echoes) Receive(data []byte) error {
	return e.c.SendWait(e.c.Context(), frame.New(append([]byte(nil), data...), false))
}

func (e echoes) Disconnected(error) {}
