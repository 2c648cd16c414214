package gateway

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/transports"
)

// ownPaths are the first segments of the paths that the program itself serves. hubPaths are those
// beside hubs of the file: of redirected clients, of application servers and of publishing.
var (
	ownPaths = []string{"healthz", "readyz", "assets"}
	hubPaths = append([]string{"client", "server", "api"}, ownPaths...)
)

// validatePath refuses paths that no request can have or that have another meaning. taken are the
// first segments of the program's own paths.
func validatePath(setting, hub string, taken ...string) error {
	first, _, _ := strings.Cut(strings.TrimPrefix(hub, "/"), "/")
	isSpecial := func(c rune) bool {
		return strings.ContainsRune("?#:*%\\\"<>", c) || unicode.IsSpace(c) || unicode.IsControl(c)
	}
	switch last := path.Base(hub); {
	case !strings.HasPrefix(hub, "/") || strings.HasSuffix(hub, "/"):
		return fmt.Errorf("%s: %q must begin with a slash and not end in one", setting, hub)
	case path.Clean(hub) != hub || strings.ContainsFunc(hub, isSpecial):
		return fmt.Errorf("%s: %q is no plain path; write it as /hubs/clock", setting, hub)
	case endpoint.IsPart(last):
		return fmt.Errorf("%s: the hub's own paths end in %q", setting, last)
	case slices.Contains(taken, strings.ToLower(first)):
		return fmt.Errorf("%s: the program serves something else at /%s", setting, first)
	}
	return nil
}

// validateClock returns the errors of the settings of the clock.
func (c *Config) validateClock() error {
	errs := []error{validatePath("--path", c.Path, ownPaths...)}
	if len(c.Transports) == 0 {
		errs = append(errs, errors.New("--transports: at least one is needed"))
	}
	if _, err := c.transports(); err != nil {
		errs = append(errs, err)
	}
	if c.APIAddr != "" || c.APIKeyFile != "" || len(c.Audiences) > 0 {
		errs = append(errs, errors.New("--api-addr, --api-key-file and --audiences need hubs in the configuration file, or --access-key-file"))
	}
	return errors.Join(append(errs, c.validateAuth(), validateOrigins("--cors-origin", c.CORSOrigin))...)
}

func validateOrigins(setting string, origins []string) error {
	var errs []error
	for _, origin := range origins {
		if err := transports.CheckOrigin(origin); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", setting, err))
		}
	}
	return errors.Join(errs...)
}

// validateHubs returns the errors of the hubs of the file, and of settings of the clock that have
// a value.
func (c *Config) validateHubs() error {
	errs := []error{c.refuseClock(), validateAddr("--api-addr", c.APIAddr)}
	if c.APIAddr != "" && !c.publishes() {
		errs = append(errs, errors.New("--api-addr needs --access-key-file or --api-key-file, or a hub with one of them"))
	}
	taken, inRedis := map[string]string{}, map[string]string{} // the hub by its path, and by its name in Redis
	for i := range c.Hubs {
		h := &c.Hubs[i]
		at := hubKey(h.Name, "path")
		errs = append(errs, validatePath(at, h.Path, hubPaths...))
		if other, twice := taken[fold.Upper(h.Path)]; twice {
			errs = append(errs, fmt.Errorf("%s: hub %s has the path %s already", at, other, h.Path))
		}
		taken[fold.Upper(h.Path)] = h.Name
		errs = append(errs, c.validateHub(h), c.validateRedisHub(h, inRedis))
	}
	return errors.Join(errs...)
}

// hubKey returns the path of a key of a hub in the configuration file.
func hubKey(name, key string) string { return hubfile.HubsKey + "." + name + "." + key }

// refuseClock refuses settings of the clock beside hubs: a jwt-key at the top must not leave hubs
// open.
func (c *Config) refuseClock() error {
	var errs []error
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key := field.Tag.Get("hub")
		if key == "" || v.Field(i).IsZero() || textOf(v.Field(i)) == field.Tag.Get("default") {
			continue
		}
		advice := "the clock is not served beside hubs of the file; remove the setting"
		if key != "-" {
			advice = "beside hubs of the file each hub has this setting; write it as " + hubKey("NAME", key)
		}
		errs = append(errs, fmt.Errorf("%s: %s", flagOf(field), advice))
	}
	return errors.Join(errs...)
}

// textOf returns the value of a setting as its default is written.
func textOf(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}

// validateHub refuses settings of a hub that are incomplete or contradict each other.
func (c *Config) validateHub(h *hubfile.Hub) error {
	errs := []error{validateOrigins(hubKey(h.Name, "origins"), h.Origins), validateClients(h), validateUpstream(h), c.validateServers(h)}
	for key, list := range map[string][]string{"transports": h.Transports, "protocols": h.Protocols} {
		if list != nil && len(list) == 0 {
			errs = append(errs, fmt.Errorf("%s: at least one is needed", hubKey(h.Name, key)))
		}
	}
	patterns := map[string][]string{"invoke": h.Invoke, "events.groups": h.Events.Groups}
	for i, u := range h.Upstream {
		patterns[fmt.Sprintf("upstream[%d].events", i)] = u.Events
	}
	for key, of := range patterns {
		for _, pattern := range of {
			if strings.Contains(strings.TrimSuffix(pattern, "*"), "*") {
				errs = append(errs, fmt.Errorf("%s: %q has a * that is not at its end", hubKey(h.Name, key), pattern))
			}
		}
	}
	return errors.Join(errs...)
}

// validateServers refuses application servers beside other ways to answer clients, and without keys.
func (c *Config) validateServers(h *hubfile.Hub) error {
	at := hubKey(h.Name, "servers")
	switch {
	case h.Servers == nil:
		return nil
	case len(h.Upstream) > 0:
		return fmt.Errorf("%s: either application servers or an upstream answers the clients", at)
	case h.Clients.JWT != nil || h.Clients.Connect != nil || h.Clients.Anonymous:
		return fmt.Errorf("%s: the application decides about the clients; remove %s", at, hubKey(h.Name, "clients"))
	case !c.hasAccessKeys(h):
		return fmt.Errorf("%s: application servers and clients need tokens; set %s or --access-key-file", at, hubKey(h.Name, "access-key-file"))
	}
	return nil
}

// validateClients refuses settings of a hub's clients that are incomplete or contradict each
// other.
func validateClients(h *hubfile.Hub) error {
	var errs []error
	refuse := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", hubKey(h.Name, key), err))
		}
	}
	c := &h.Clients
	if n := len(slices.DeleteFunc([]bool{c.Anonymous, c.JWT != nil, c.Connect != nil}, func(set bool) bool { return !set })); n > 1 {
		refuse("clients", errors.New("anonymous, jwt and connect exclude each other"))
	}
	if j := c.JWT; j != nil {
		if (j.KeyFile == "") == (j.JWKSURL == "") {
			refuse("clients.jwt", errors.New("either key-file or jwks-url is needed"))
		}
		_, err := parseURL(j.JWKSURL)
		refuse("clients.jwt.jwks-url", err)
	}
	if c.Tickets > 0 && c.JWT == nil && c.Connect == nil {
		refuse("clients.tickets", errors.New("tickets need jwt or connect"))
	}
	_, err := parseURL(c.PublicURL)
	refuse("clients.public-url", err)
	return errors.Join(errs...)
}
