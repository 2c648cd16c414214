package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/hubfile"
)

// filesInterval is the time between two looks at the files. A changed file is read once it looks
// the same twice, so that a certificate and its key are replaced together. Looking at a few files
// costs some microseconds and also works where notifications do not: on network file systems, and
// for the links by which Kubernetes replaces the files of a volume.
const filesInterval = 2 * time.Second

// Source provides the settings again while the server runs.
type Source struct {
	// Settings reads all settings again.
	Settings func() (Config, error)
	// Locate names, in an error about settings, the places of their values. It follows a call of
	// Settings.
	Locate func(error) error
	// Files are the files of the settings. The server adds those that the settings name.
	Files []string
	// Signal requests a reload with each value.
	Signal <-chan os.Signal
	// Level is the level of the log.
	Level *slog.LevelVar
}

// Follow makes the server reload its settings when source asks for it or a file changes. Call it
// before Run. Without it only the files of the initial settings are followed.
func (s *Server) Follow(source Source) { s.source = source }

// startFollowing starts followSettings and refreshKeys. stop ends them and waits for them.
func (s *Server) startFollowing(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	staleKeys := make(chan struct{}, 1)
	running.Go(func() { s.followSettings(ctx, staleKeys) })
	running.Go(func() { s.refreshKeys(ctx, staleKeys) })
	return func() {
		cancel()
		running.Wait()
	}
}

// followSettings reloads until ctx ends: at each signal, when a file has changed, and when a
// certificate becomes valid that was too early before. At a signal the keys of --jwks-url are
// stale, too.
func (s *Server) followSettings(ctx context.Context, staleKeys chan<- struct{}) {
	current := s.config
	loaded := stateOf(s.filesOf(current))
	seen := loaded
	var again time.Time // zero: never
	ticker := time.NewTicker(s.filesInterval)
	defer ticker.Stop()
	for {
		signalled := false
		select {
		case <-ctx.Done():
			return
		case <-s.source.Signal:
			signalled = true
		case <-ticker.C:
		}
		before, paths := seen, s.filesOf(current)
		seen = stateOf(paths)
		changed := !slices.Equal(seen, loaded) && slices.Equal(seen, before)
		if !signalled && !changed && (again.IsZero() || time.Now().Before(again)) {
			continue
		}
		current, again = s.reload(current, changedFiles(paths, loaded, seen))
		loaded = seen
		if now := s.filesOf(current); !slices.Equal(now, paths) {
			loaded = stateOf(now)
		}
		if signalled {
			select {
			case staleKeys <- struct{}{}:
			default: // they will be read again anyway
			}
		}
	}
}

// reload applies the settings anew. It returns those that hold now: the current ones with the
// changes that need no restart. If any setting or any file is wrong, it changes nothing, logs the
// error and returns the current ones, and the time at which another attempt may succeed, if that
// is known. files are those that have changed since the attempt before.
func (s *Server) reload(current Config, files []string) (_ Config, again time.Time) {
	next, err := s.settingsAgain(current)
	effective, changed, _ := current.reloaded(next)
	var state *prepared
	if err == nil {
		state, err = s.prepareAgain(effective)
	}
	if err != nil {
		if early, ok := errors.AsType[*earlyError](err); ok {
			again = early.from
		}
		if s.source.Locate != nil {
			err = s.source.Locate(err)
		}
		s.log.Error("settings not reloaded", "error", err, "files", files)
		return current, again
	}
	s.apply(state)
	if s.source.Level != nil {
		s.source.Level.Set(effective.LogLevel)
	}
	s.log.Info("settings reloaded", "changed", changed, "files", files)
	if _, _, restart := s.config.reloaded(next); len(restart) > 0 {
		s.log.Warn("settings need a restart", "settings", restart)
	}
	return effective, again
}

// settingsAgain reads the settings again. Without a source they are the current ones.
func (s *Server) settingsAgain(current Config) (Config, error) {
	if s.source.Settings == nil {
		return current, nil
	}
	next, err := s.source.Settings()
	if err == nil {
		err = next.Validate()
	}
	return next, err
}

// prepareAgain returns the state of settings. It refuses a certificate that clients refuse now, if
// they accept the one in use.
func (s *Server) prepareAgain(c Config) (*prepared, error) {
	state, err := c.prepare(s.sites)
	if err == nil && state.certificate != nil && checkTime(s.live.certificate.Load()) == nil {
		if err = checkTime(state.certificate); err != nil {
			err = fmt.Errorf("%w; the one in use remains", err)
		}
	}
	return state, err
}

// apply replaces the state. It warns of a certificate that clients refuse now.
func (s *Server) apply(p *prepared) {
	if p.certificate != nil {
		if err := checkTime(p.certificate); err != nil {
			s.log.Warn("certificate not valid", "error", err)
		}
	}
	s.live.certificate.Store(p.certificate)
	s.live.rules.Store(&p.rules)
	for i, st := range s.sites {
		st.apply(p.sites[i])
	}
	s.made.mu.Lock()
	defer s.made.mu.Unlock()
	s.made.keys = p.keys
	for _, st := range s.made.byName {
		st.hosted.SetKeys(p.keys)
	}
}

// checkTime returns an error if clients refuse a certificate now because of its dates.
func checkTime(c *tls.Certificate) error {
	switch now := time.Now(); {
	case now.After(c.Leaf.NotAfter):
		return fmt.Errorf("--tls-cert: the certificate expired at %s", c.Leaf.NotAfter.Format(time.RFC3339))
	case now.Before(c.Leaf.NotBefore):
		return &earlyError{c.Leaf.NotBefore}
	}
	return nil
}

// earlyError is the error for a certificate that is not valid yet.
type earlyError struct{ from time.Time }

func (e *earlyError) Error() string {
	return fmt.Sprintf("--tls-cert: the certificate is not valid before %s", e.from.Format(time.RFC3339))
}

// refreshKeys reads the keys of --jwks-url again each time they are stale, until ctx ends. A
// provider that does not answer delays nothing else. If it fails, the old keys remain in use and
// the log has the error.
func (s *Server) refreshKeys(ctx context.Context, stale <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-stale:
		}
		for _, st := range s.sites {
			if st.published != nil && st.published.Refresh(ctx) == nil {
				s.log.Info("token keys reloaded")
			}
		}
	}
}

// reloaded returns c with those settings of next that a reload applies. A hub that next has not
// keeps its settings. Of the settings that differ it returns the flags, and the paths of the keys
// of hubs: those that a reload applies, and those that need a restart.
func (c Config) reloaded(next Config) (_ Config, changed, restart []string) {
	a, b := reflect.ValueOf(&c).Elem(), reflect.ValueOf(&next).Elem()
	for i := range a.NumField() {
		field := a.Type().Field(i)
		if field.Name == "Hubs" || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		flag := flagOf(field)
		isSwitch := strings.HasSuffix(flag, "cert") || strings.HasSuffix(flag, "key") || strings.HasSuffix(flag, "key-file") // set or not: TLS, tokens or publishing
		if field.Tag.Get("reload") == "" || isSwitch && (a.Field(i).IsZero() || b.Field(i).IsZero()) {
			restart = append(restart, flag)
		} else {
			a.Field(i).Set(b.Field(i))
			changed = append(changed, flag)
		}
	}
	c.Hubs = slices.Clone(c.Hubs)
	for i, h := range c.Hubs {
		of := next.hub(h.Name)
		if of == nil {
			restart = append(restart, hubfile.HubsKey+"."+h.Name)
			continue
		}
		var applied, kept []string
		c.Hubs[i], applied, kept = hubfile.Reload(h, *of)
		changed, restart = append(changed, applied...), append(restart, kept...)
	}
	for _, h := range next.Hubs {
		if c.hub(h.Name) == nil {
			restart = append(restart, hubfile.HubsKey+"."+h.Name)
		}
	}
	return c, changed, restart
}

// hub returns the hub of the file with a name, or nil.
func (c *Config) hub(name string) *hubfile.Hub {
	for i := range c.Hubs {
		if c.Hubs[i].Name == name {
			return &c.Hubs[i]
		}
	}
	return nil
}

// flagOf returns the flag of a field of Config.
func flagOf(field reflect.StructField) string {
	return "--" + cmp.Or(field.Tag.Get("name"), strings.ToLower(field.Name))
}

// flagFor returns the flag of the clock's setting that has a key below hubs.NAME.
func flagFor(key string) string {
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("hub") == key {
			return flagOf(t.Field(i))
		}
	}
	return key
}

// filesOf returns the files of settings.
func (s *Server) filesOf(c Config) []string {
	paths := append(append([]string{}, s.source.Files...), c.TLSCert, c.TLSKey, c.JWTKey, c.AccessKeyFile, c.APIKeyFile)
	for _, h := range c.Hubs {
		paths = append(paths, h.AccessKeyFile, h.APIKeyFile)
		if h.Clients.JWT != nil {
			paths = append(paths, h.Clients.JWT.KeyFile)
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

// stateOf returns a text for each file that differs if the file has changed. It opens no file. A
// file that is missing has a state, too.
func stateOf(paths []string) []string {
	states := make([]string, len(paths))
	for i, path := range paths {
		states[i] = "missing"
		if info, err := os.Stat(path); err == nil {
			states[i] = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
		}
	}
	return states
}

// changedFiles returns the paths with different states before and after.
func changedFiles(paths, before, after []string) (changed []string) {
	for i, path := range paths {
		if before[i] != after[i] {
			changed = append(changed, path)
		}
	}
	return changed
}
