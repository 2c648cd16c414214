package main

import (
	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/backplane/redis"
	"github.com/carillon-go/carillon/hub"
)

// planes join the hubs of the site to those of other sites. nil: they are not joined.
type planes struct {
	broker *redis.Broker
	all    []*backplane.Backplane
}

func newPlanes(url string) (*planes, error) {
	if url == "" {
		return nil, nil //nolint:nilnil // no Redis
	}
	broker, err := redis.New(redis.Options{URL: url})
	return &planes{broker: broker}, err
}

// join gives a hub its backplane.
func (p *planes) join(name string, o *hub.Options) {
	if p != nil {
		plane := backplane.New(p.broker, backplane.Options{Hub: "testhub" + name})
		p.all = append(p.all, plane)
		o.Backplane = plane
	}
}

// close follows the shutdown of all hubs.
func (p *planes) close() {
	if p == nil {
		return
	}
	for _, plane := range p.all {
		plane.Close()
	}
	p.broker.Close()
}
