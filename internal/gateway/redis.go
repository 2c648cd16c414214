package gateway

import (
	"errors"
	"fmt"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/backplane/redis"
	"github.com/carillon-go/carillon/hub"
)

// plane joins the hub to those of other processes through Redis.
type plane struct {
	*backplane.Backplane
	broker *redis.Broker
}

// validateRedis refuses settings of Redis that are wrong. Its errors have no part of the URL.
func (c *Config) validateRedis() error {
	switch {
	case c.Redis == "" && c.RedisPrefix != "":
		return errors.New("--redis-prefix needs --redis")
	case c.Redis == "":
		return nil
	case c.RedisHub == "":
		return errors.New("--redis-hub must not be empty")
	}
	if err := redis.CheckURL(c.Redis); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return nil
}

// joinRedis gives the hub a backplane if --redis is set. leaveRedis ends it.
func (s *Server) joinRedis(o *hub.Options) error {
	c := &s.config
	if c.Redis == "" {
		return nil
	}
	broker, err := redis.New(redis.Options{URL: c.Redis, Logger: s.log})
	if err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	s.plane = &plane{backplane.New(broker, backplane.Options{Hub: c.RedisHub, ChannelPrefix: c.RedisPrefix, Logger: s.log}), broker}
	o.Backplane = s.plane
	return nil
}

// leaveRedis follows the shutdown of the hub.
func (s *Server) leaveRedis() {
	if s.plane != nil {
		s.plane.Close()
		s.plane.broker.Close()
	}
}

// isDegraded reports whether messages of other processes are lost.
func (s *Server) isDegraded() bool { return s.plane != nil && s.plane.broker.State().Degraded }
