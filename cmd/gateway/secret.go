package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/gateway"
)

// secretCommand makes a secret for a cluster.
type secretCommand struct{}

// Run prints the secret.
func (secretCommand) Run(k *kong.Context) error {
	_, err := fmt.Fprintln(k.Stdout, gateway.NewClusterSecret())
	return err
}
