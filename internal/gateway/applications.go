package gateway

import (
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/appserver"
	"github.com/carillon-go/carillon/internal/fold"
)

// serveApplications returns the handler of application servers, or nil if no hub has any.
func (s *Server) serveApplications() *appserver.Service {
	byName := map[string]*site{} // by the upper case of the name
	for _, st := range s.sites {
		if st.servers != nil {
			byName[fold.Upper(st.settings.Name)] = st
		}
	}
	if len(byName) == 0 {
		return nil
	}
	return appserver.New(appserver.Options{Servers: func(hub string) (*appserver.Servers, *accesskey.Keys) {
		st := byName[fold.Upper(hub)]
		if st == nil {
			return nil, nil
		}
		return st.servers, st.hosted.Keys()
	}})
}
