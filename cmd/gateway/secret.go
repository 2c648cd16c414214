package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/gateway"
)

// secretCommand makes a secret for a cluster, or an access key.
type secretCommand struct {
	ConnectionString string `name:"connection-string" env:"-" placeholder:"URL" help:"Make an access key instead. The first line of the output is the connection string for an application, which finds this gateway at URL, such as https://rt.example.com. The second line is the key alone, for --access-key-file."`
}

// Run prints the secret, or the connection string and the key.
func (c *secretCommand) Run(k *kong.Context) error {
	if c.ConnectionString == "" {
		_, err := fmt.Fprintln(k.Stdout, gateway.NewClusterSecret())
		return err
	}
	text, key, err := gateway.NewConnectionString(c.ConnectionString)
	if err != nil {
		return fmt.Errorf("--connection-string: %w", err)
	}
	_, err = fmt.Fprintf(k.Stdout, "%s\n%s\n", text, key)
	return err
}
