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

// reload applies the settings anew and returns them. If any of them or any file is wrong, it
// changes nothing, logs the error and returns the current ones, and the time at which another
// attempt may succeed, if that is known. files are those that have changed since the attempt
// before.
func (s *Server) reload(current Config, files []string) (_ Config, again time.Time) {
	next, prepared, err := s.readAgain(current)
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
	s.apply(prepared)
	if s.source.Level != nil {
		s.source.Level.Set(next.LogLevel)
	}
	changed, _ := compare(current, next)
	s.log.Info("settings reloaded", "changed", changed, "files", files)
	if _, restart := compare(s.config, next); len(restart) > 0 {
		s.log.Warn("settings need a restart", "settings", restart)
	}
	return next, again
}

// readAgain returns the settings and the state that they describe. A setting that needs a restart
// keeps its value in the state.
func (s *Server) readAgain(current Config) (Config, *prepared, error) {
	next := current
	if s.source.Settings != nil {
		var err error
		if next, err = s.source.Settings(); err != nil {
			return next, nil, err
		}
		if err := next.Validate(); err != nil {
			return next, nil, err
		}
	}
	effective := s.config.reloaded(next)
	prepared, err := effective.prepare(s.sites)
	if err == nil && prepared.certificate != nil && checkTime(s.live.certificate.Load()) == nil {
		if err = checkTime(prepared.certificate); err != nil {
			err = fmt.Errorf("%w; the one in use remains", err)
		}
	}
	return next, prepared, err
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

// compare returns the settings that differ, flags and paths of keys: those that a reload applies,
// and those that need a restart.
func compare(before, after Config) (changed, restart []string) {
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
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
			changed = append(changed, flag)
		}
	}
	for _, h := range before.Hubs {
		next := after.hub(h.Name)
		if next == nil {
			restart = append(restart, hubfile.HubsKey+"."+h.Name)
			continue
		}
		_, c, r := hubfile.Reload(h, *next)
		changed, restart = append(changed, c...), append(restart, r...)
	}
	for _, h := range after.Hubs {
		if before.hub(h.Name) == nil {
			restart = append(restart, hubfile.HubsKey+"."+h.Name)
		}
	}
	return changed, restart
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

// reloaded returns c with those settings of next that a reload applies.
func (c Config) reloaded(next Config) Config {
	c.CORSOrigin, c.Rule, c.Audiences = next.CORSOrigin, next.Rule, next.Audiences
	if c.usesTLS() && next.usesTLS() {
		c.TLSCert, c.TLSKey = next.TLSCert, next.TLSKey
	}
	for running, file := range map[*string]string{&c.JWTKey: next.JWTKey, &c.AccessKeyFile: next.AccessKeyFile, &c.APIKeyFile: next.APIKeyFile} {
		if *running != "" && file != "" {
			*running = file
		}
	}
	c.Hubs = slices.Clone(c.Hubs)
	for i, h := range c.Hubs {
		if changed := next.hub(h.Name); changed != nil {
			c.Hubs[i], _, _ = hubfile.Reload(h, *changed)
		}
	}
	return c
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
