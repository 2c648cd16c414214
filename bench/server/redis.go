package main

import (
	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/backplane/redis"
	"github.com/carillon-go/carillon/hub"
)

// join has a hub join those of other servers through Redis, if there is a URL. The function that
// it returns is called after the hub's shutdown.
func join(url string, o *hub.Options) (leave func(), err error) {
	if url == "" {
		return func() {}, nil
	}
	broker, err := redis.New(redis.Options{URL: url})
	if err != nil {
		return nil, err
	}
	plane := backplane.New(broker, backplane.Options{Hub: o.Name})
	o.Backplane = plane
	return func() {
		plane.Close()
		broker.Close()
	}, nil
}
