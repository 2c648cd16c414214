package golden

import (
	"fmt"
	"strings"
	"time"
)

// hubPath returns the path of the hub that a request targets.
func hubPath(target string) string {
	path, _, _ := strings.Cut(target, "?")
	path = strings.ToLower(strings.TrimSuffix(path, "/"))
	return strings.TrimSuffix(path, "/negotiate")
}

// needsToken reports whether a hub needs a token. A transcript that does not name the user
// uses alice.
func needsToken(hub string) bool {
	return strings.HasPrefix(hub, "/lab-auth") || hub == "/lab-expire" || hub == "/authorizedhub"
}

// allowsStateful reports whether a hub allows stateful reconnect. Negotiations there always
// request it.
func allowsStateful(hub string) bool {
	return strings.HasSuffix(hub, "-stateful") || hub == "/lab-small"
}

// negotiate negotiates a connection and stores its id and token under these names with the
// number.
func (s *session) negotiate(hub, number string) error {
	r := request{method: "POST", path: hub + "/negotiate?negotiateVersion=1", proto: "HTTP/1.1"}
	want := `{"negotiateVersion":1,"connectionId":"<id>","connectionToken":"<token>","availableTransports":`
	if allowsStateful(hub) {
		r.path += "&useStatefulReconnect=true"
		want = strings.Replace(want, "{", `{"useStatefulReconnect":true,`, 1)
	}
	if needsToken(hub) {
		user := "jwt of alice"
		if hub == "/lab-expire" { // the transcripts use the user of /generateJwtToken
			user = "jwt"
		}
		token, err := s.jwt(user)
		if err != nil {
			return err
		}
		r.headers = append(r.headers, "Authorization: Bearer "+token)
	}
	body, err := s.fetch(r)
	if err != nil {
		return err
	}
	made := bindings{values: map[string]string{}}
	head, _, _ := strings.Cut(body, "[")
	if err := made.match(want, head); err != nil {
		return fmt.Errorf("negotiation: %w", err)
	}
	s.known.values["id"+number], s.known.values["token"+number] = made.values["id"], made.values["token"]
	return nil
}

// fetch sends a request and returns the body of its answer, which must have status 200.
func (s *session) fetch(r request) (string, error) {
	x, err := send(s.addr, r)
	if err != nil {
		return "", err
	}
	defer x.drop()
	deadline := time.Now().Add(patience)
	if err := x.readHead(deadline); err != nil {
		return "", err
	}
	if err := x.readBody(deadline); err != nil {
		return "", err
	}
	if x.status != "200 OK" {
		return "", fmt.Errorf("%s %s: %s: %s", r.method, r.path, x.status, x.body)
	}
	return string(x.body), nil
}

// jwt fetches the token that a placeholder describes.
func (s *session) jwt(name string) (string, error) {
	path := "/generateJwtToken"
	if user, ok := strings.CutPrefix(name, "jwt of "); ok {
		path += "?user=" + user
	}
	token, err := s.fetch(request{method: "GET", path: path, proto: "HTTP/1.1"})
	if err != nil || !strings.HasSuffix(name, "wrong signature") {
		return token, err
	}
	signed := token[:strings.LastIndexByte(token, '.')+1]
	return signed + strings.Repeat("A", len(token)-len(signed)), nil
}
