package gateway

import (
	"errors"
	"strings"
	"sync"

	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/appserver"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hubfile"
)

// made are the hubs that the file does not name: an application server with one of the program's
// access keys makes its hub by connecting. They remain until the program ends.
type made struct {
	mu     sync.Mutex
	closed bool
	keys   *accesskey.Keys  // the program's; nil: there are none
	byName map[string]*site // by the upper case of the name
}

// maxMade is the limit of the hubs that application servers make.
const maxMade = 100

var (
	errTooManyHubs = errors.New("application servers have made too many hubs")
	errHubName     = errors.New("the name of the hub is not allowed")
	errEnding      = errors.New("the program is about to end")
)

// siteOf returns the site of the hub with a name, which ignores case, or nil.
func (s *Server) siteOf(name string) *site {
	key := fold.Upper(name)
	if st := s.byName[key]; st != nil {
		return st
	}
	s.made.mu.Lock()
	defer s.made.mu.Unlock()
	return s.made.byName[key]
}

// allSites returns the sites of all hubs, those of the file first.
func (s *Server) allSites() []*site {
	s.made.mu.Lock()
	defer s.made.mu.Unlock()
	all := append([]*site{}, s.sites...)
	for _, st := range s.made.byName {
		all = append(all, st)
	}
	return all
}

// serveApplications returns the handler of application servers, or nil if no hub can have any.
func (s *Server) serveApplications() *appserver.Service {
	serves := s.config.AccessKeyFile != ""
	for _, st := range s.sites {
		serves = serves || st.servers != nil
	}
	if !serves || s.config.servesClock() {
		return nil
	}
	return appserver.New(appserver.Options{Servers: s.serversOf, Make: s.makeHub})
}

// serversOf returns the servers and the keys of a hub. For one that does not exist it returns the keys
// with which it may be made.
func (s *Server) serversOf(name string) (*appserver.Servers, *accesskey.Keys) {
	st := s.siteOf(name)
	switch {
	case st == nil:
		s.made.mu.Lock()
		defer s.made.mu.Unlock()
		return nil, s.made.keys
	case st.servers == nil:
		return nil, nil
	}
	return st.servers, st.hosted.Keys()
}

// makeHub makes a hub for an application server, unless it was made meanwhile. Its settings are the
// defaults.
func (s *Server) makeHub(name string) (*appserver.Servers, error) {
	s.made.mu.Lock()
	defer s.made.mu.Unlock()
	key := fold.Upper(name)
	switch st := s.made.byName[key]; {
	case st != nil:
		return st.servers, nil
	case s.made.closed:
		return nil, errEnding
	case !hubfile.IsName(name) || s.isInRedis(name):
		return nil, errHubName
	case len(s.made.byName) >= maxMade:
		return nil, errTooManyHubs
	}
	st := &site{settings: hubfile.New(strings.ToLower(name))}
	st.settings.Servers = &hubfile.Servers{Takeover: "asked"}
	if err := s.makeSite(st); err != nil {
		return nil, err
	}
	st.hosted.SetKeys(s.made.keys)
	s.hubs.Add(st.hosted)
	s.made.byName[key] = st
	s.log.Info("serving hub", "hub", st.settings.Name, "made_by", "application server")
	return st.servers, nil
}

// isInRedis reports whether a hub of the file has a name in Redis.
func (s *Server) isInRedis(name string) bool {
	for _, st := range s.sites {
		if fold.Equal(st.settings.RedisHub, name) {
			return true
		}
	}
	return false
}
