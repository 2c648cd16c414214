package golden

import (
	"fmt"
	"strings"
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
func (b *bindings) negotiate(hub, number string) error {
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
		token, err := b.jwt(user)
		if err != nil {
			return err
		}
		r.headers = append(r.headers, "Authorization: Bearer "+token)
	}
	body, err := fetch(b.addr, r)
	if err != nil {
		return err
	}
	made := newBindings(b.addr)
	head, _, _ := strings.Cut(body, "[")
	if err := made.match(want, head); err != nil {
		return fmt.Errorf("negotiation: %w", err)
	}
	b.values["id"+number], b.values["token"+number] = made.values["id"], made.values["token"]
	return nil
}

// jwt fetches the token that a placeholder describes.
func (b *bindings) jwt(name string) (string, error) {
	path := "/generateJwtToken"
	if user, ok := strings.CutPrefix(name, "jwt of "); ok {
		path += "?user=" + user
	}
	token, err := fetch(b.addr, request{method: "GET", path: path, proto: "HTTP/1.1"})
	if err != nil || !strings.HasSuffix(name, "wrong signature") {
		return token, err
	}
	signed := token[:strings.LastIndexByte(token, '.')+1]
	return signed + strings.Repeat("A", len(token)-len(signed)), nil
}
