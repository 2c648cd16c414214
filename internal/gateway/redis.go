package gateway

import (
	"errors"
	"fmt"

	"github.com/carillon-go/carillon/backplane/redis"
	"github.com/carillon-go/carillon/internal/hubfile"
)

// validateRedis refuses settings of Redis that are wrong. Its errors have no part of the URL.
func (c *Config) validateRedis() error {
	switch {
	case c.Redis == "" && c.RedisPrefix != "":
		return errors.New("--redis-prefix needs --redis")
	case c.Redis == "":
		return nil
	case c.servesClock() && c.RedisHub == "":
		return errors.New("--redis-hub must not be empty")
	}
	if err := redis.CheckURL(c.Redis); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return nil
}

// validateRedisHub refuses a name in Redis without Redis, an empty one, and one that another hub has.
// taken has the hub of each name.
func (c *Config) validateRedisHub(h *hubfile.Hub, taken map[string]string) error {
	at := hubKey(h.Name, "redis-hub")
	other, twice := taken[h.RedisHub]
	taken[h.RedisHub] = h.Name
	switch {
	case c.Redis == "" && h.RedisHub != h.Name:
		return fmt.Errorf("%s: needs redis, the server", at)
	case h.RedisHub == "":
		return fmt.Errorf("%s: must not be empty", at)
	case twice:
		return fmt.Errorf("%s: hub %s has the name %s already", at, other, h.RedisHub)
	}
	return nil
}

// joinRedis makes the broker if --redis is set. Each hub has a backplane over it. leaveRedis ends
// them.
func (s *Server) joinRedis() (err error) {
	if s.config.Redis == "" {
		return nil
	}
	if s.broker, err = redis.New(redis.Options{URL: s.config.Redis, Logger: s.log}); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return nil
}

// leaveRedis follows the shutdown of the hubs.
func (s *Server) leaveRedis() {
	for _, st := range s.allSites() {
		if st.plane != nil {
			st.plane.Close()
		}
	}
	if s.broker != nil {
		s.broker.Close()
	}
}

// isDegraded reports whether messages of other processes are lost.
func (s *Server) isDegraded() bool { return s.broker != nil && s.broker.State().Degraded }
