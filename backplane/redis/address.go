package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// settings are those of the connections.
type settings struct {
	network   string   // "tcp" or "unix"
	addresses []string // of the server, or of Sentinels
	master    string   // the name at the Sentinels; empty: addresses has one server
	user      string   // empty: none
	password  string
	tls       *tls.Config // nil: no TLS
}

// errURL has no part of the URL, because any of them may belong to a password.
var errURL = errors.New("redis: the URL is not of the form redis://USER:PASSWORD@HOST:PORT, rediss://… or unix://USER:PASSWORD@/PATH, " +
	"with ?master_set=NAME&addr=HOST:PORT for Sentinels; special characters in a password have to be percent-encoded")

// CheckURL returns an error if Options.URL cannot have this value. The error has no part of it.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (*settings, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errURL
	}
	s := &settings{network: "tcp", user: u.User.Username()}
	s.password, _ = u.User.Password()
	switch u.Scheme {
	case "unix":
		s.network, s.addresses = "unix", []string{u.Path}
		if u.Host != "" || u.Path == "" || u.RawQuery != "" {
			return nil, errURL
		}
		return s, nil
	case "rediss", "valkeys":
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	case "redis", "valkey":
	default:
		return nil, errURL
	}
	q, err := url.ParseQuery(u.RawQuery)
	s.master = q.Get("master_set")
	for _, address := range slices.Concat([]string{u.Host}, q["addr"]) {
		s.addresses = append(s.addresses, withPort(address))
	}
	delete(q, "master_set")
	delete(q, "addr")
	if err != nil || len(q) > 0 || slices.Contains(s.addresses, "") || s.master == "" && len(s.addresses) > 1 || !isDatabase(u.Path) {
		return nil, errURL
	}
	return s, nil
}

// withPort returns an address with its port, by default Redis's. It returns "" if there is no host.
func withPort(address string) string {
	u := url.URL{Host: address}
	switch host, port := u.Hostname(), u.Port(); {
	case host == "":
		return ""
	case port == "":
		return net.JoinHostPort(host, "6379")
	}
	return address
}

// isDatabase reports whether the path of a URL is empty or a number: publications have no
// database.
func isDatabase(path string) bool {
	number := strings.TrimPrefix(path, "/")
	_, err := strconv.ParseUint(number, 10, 16)
	return number == "" || err == nil
}

// open connects to the server, or to the master that a Sentinel names, and returns its address.
func (s *settings) open(ctx context.Context) (c *conn, address string, err error) {
	if s.master == "" {
		c, err = s.dial(ctx, s.addresses[0])
		return c, s.addresses[0], err
	}
	for _, sentinel := range s.addresses {
		c, address, failed := s.openMaster(ctx, sentinel)
		if failed == nil {
			return c, address, nil
		}
		err = errors.Join(err, failed)
	}
	return nil, "", err
}

// openMaster connects to the master that a Sentinel names.
func (s *settings) openMaster(ctx context.Context, sentinel string) (c *conn, address string, err error) {
	if address, err = s.ask(ctx, sentinel); err != nil {
		return nil, "", err
	}
	if c, err = s.dial(ctx, address); err != nil {
		return nil, "", err
	}
	if err = c.checkMaster(ctx); err != nil {
		_ = c.Close()
		return nil, "", err
	}
	return c, address, nil
}

var (
	errNoMaster  = errors.New("redis: a Sentinel does not know the master")
	errNotMaster = errors.New("redis: the server that a Sentinel names as master is none")
	errMoved     = errors.New("redis: another server is the master now")
)

// ask returns the address of the master that a Sentinel knows. Sentinels often have no password: then
// they refuse that of the servers, and answer all the same.
func (s *settings) ask(ctx context.Context, sentinel string) (address string, err error) {
	c, err := s.reach(ctx, sentinel)
	if err != nil {
		return "", err
	}
	defer c.Close()
	refused := c.logIn(ctx, s)
	r, err := c.do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.master)
	if err != nil {
		return "", errors.Join(refused, err)
	}
	if len(r.items) != 2 {
		return "", errNoMaster
	}
	return net.JoinHostPort(string(r.items[0].text), string(r.items[1].text)), nil
}

// moved reports whether the first Sentinel that knows a master names another one than that with an
// address. A Sentinel that was away may still name an old one, which is a replica now.
func (s *settings) moved(ctx context.Context, from string) bool {
	for _, sentinel := range s.addresses {
		address, err := s.ask(ctx, sentinel)
		if err != nil {
			continue
		}
		if address == from {
			return false
		}
		if c, _, err := s.openMaster(ctx, sentinel); err == nil {
			_ = c.Close()
			return true
		}
	}
	return false
}

// checkMaster fails if the server is a replica, which passes publications to its own subscribers only.
func (c *conn) checkMaster(ctx context.Context) error {
	r, err := c.do(ctx, "ROLE")
	if err == nil && (len(r.items) == 0 || string(r.items[0].text) != "master") {
		err = errNotMaster
	}
	return err
}
