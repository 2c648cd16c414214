package gateway

import "github.com/carillon-go/carillon/internal/accesskey"

// NewConnectionString returns a new access key, and the connection string with which an
// application finds the gateway at endpoint and signs with that key.
func NewConnectionString(endpoint string) (text, key string, err error) {
	key = accesskey.New()
	text, err = accesskey.ConnectionString(endpoint, key)
	return text, key, err
}
