package accesskey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/authlog"
)

// signText signs claims that are written as text.
func signText(t testing.TB, method jwt.SigningMethod, key any, header, claims string) string {
	t.Helper()
	return signParts(t, method, key, fmt.Sprintf(`{"alg":%q%s}`, method.Alg(), header), claims)
}

// signParts signs parts of any number and content.
func signParts(t testing.TB, method jwt.SigningMethod, key any, parts ...string) string {
	t.Helper()
	for i, part := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(part))
	}
	text := strings.Join(parts, ".")
	signature, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func at(d time.Duration) int64 { return time.Now().Add(d).Unix() }

const clientOfChat = `"aud":"http://localhost/client/?hub=chat"`

// Each kind of token opens its own door and no other, for its own hub and request.
func TestEveryKindOfTokenAtEveryDoor(t *testing.T) {
	t.Parallel()
	type door struct {
		kind Kind
		hub  string
		url  string // of the request
	}
	doors := map[string]door{
		"client chat":  {Client, "chat", "/client/negotiate?hub=chat"},
		"client Chat":  {Client, "Chat", "/client/?hub=Chat"},
		"client chat2": {Client, "chat2", "/client/?hub=chat2"},
		"server chat":  {Server, "chat", "/server/?hub=chat"},
		"send":         {API, "chat", "/api/hubs/chat/:send?api-version=2022-06-01"},
		"send, v1":     {API, "chat", "/api/v1/hubs/chat"},
		"group":        {API, "chat", "/api/hubs/chat/groups/a%20b%2Fc/:send?api-version=2022-06-01&excluded=x&excluded=y"},
		"token":        {API, "chat", "/api/hubs/chat/:generateToken?userId=ann"},
	}
	clients, send := []string{"client chat", "client Chat"}, []string{"send"}
	for audience, opens := range map[string][]string{
		"http://localhost/client/?hub=chat":                                clients,
		"https://LOCALHOST:7000/client/?hub=CHAT":                          clients,
		"HTTP://localhost/client/?hub=ch%61t":                              clients,
		"http://localhost/client/?hub=chat2":                               {"client chat2"},
		"http://localhost/server/?hub=chat":                                {"server chat"},
		"http://localhost/client?hub=chat":                                 nil,
		"http://localhost/Client/?hub=chat":                                nil,
		"http://localhost/client/negotiate?hub=chat":                       nil,
		"http://localhost/client//?hub=chat":                               nil,
		"http://localhost/%63lient/?hub=chat":                              nil,
		"http://localhost/client/?hub=chat&hub=chat2":                      nil,
		"http://localhost/client/?hub=chat&x=y":                            nil,
		"http://localhost/client/?hub=":                                    nil,
		"http://localhost/client/?HUB=chat":                                nil,
		"http://localhost/client/?hub=chat#x":                              nil,
		"http://localhost/client/?hub=chat#":                               nil,
		"http://localhost/client/":                                         nil,
		"http://localhost/":                                                nil,
		"http://a@localhost/client/?hub=chat":                              nil,
		"ws://localhost/client/?hub=chat":                                  nil,
		"/client/?hub=chat":                                                nil,
		"http:///client/?hub=chat":                                         nil,
		"chat":                                                             nil,
		"":                                                                 nil,
		"http://localhost/api/hubs/chat/:send":                             send,
		"http://localhost/api/hubs/chat/:send/":                            send,
		"http://localhost:8888/api/hubs/chat/:send?api-version=2022-06-01": send,
		"http://localhost/api/hubs/chat/%3Asend":                           send,
		"http://localhost/api/hubs/chat/:send?api-version=1.0":             nil,
		"http://localhost/api/hubs/Chat/:send":                             nil, // the request has another path
		"http://localhost/api/hubs/chat/":                                  nil,
		"http://localhost/api/":                                            nil,
		"http://localhost/api/hubs/chat/:send?%zz":                         nil,
		"http://localhost/api/v1/hubs/chat":                                {"send, v1"},
		"http://localhost/api/hubs/chat/groups/a%20b%2fc/:send":            {"group"},
		"http://localhost/api/hubs/chat/groups/a%20b/c/:send":              nil,
		"http://localhost/api/hubs/chat/groups/a%20b%2Fc/:send?excluded=x&excluded=y&api-version=2022-06-01": {"group"},
		"http://localhost/api/hubs/chat/groups/a%20b%2Fc/:send?excluded=y&excluded=x&api-version=2022-06-01": nil,
		"http://localhost/api/hubs/chat/groups/a%20b%2Fc/:send?api-version=2022-06-01":                       {"group"},
		"http://localhost/api/hubs/chat/groups/a%20b%2Fc/:send?excluded=x":                                   nil,
		"http://localhost/api/hubs/chat/:generateToken?userId=ann":                                           {"token"},
		"http://localhost/api/hubs/chat/:generateToken?userId=bob":                                           nil,
	} {
		k := keysOf(t, Options{}, current)
		token, err := k.Sign(Grant{Audience: audience, Expires: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		for name, d := range doors {
			_, err := k.Token(token, d.kind, d.hub, httptest.NewRequest(http.MethodPost, d.url, nil))
			if opened := err == nil; opened != slices.Contains(opens, name) {
				t.Errorf("aud %q at %s: %v", audience, name, err)
			} else if err != nil && reasonOf(err) != "The audience is invalid" {
				t.Errorf("aud %q at %s: %v", audience, name, err)
			}
		}
	}
}

func reasonOf(err error) string {
	if refused, ok := errors.AsType[*auth.TokenError](err); ok {
		return refused.Reason
	}
	return fmt.Sprint(err)
}

func TestPublicAudiences(t *testing.T) {
	t.Parallel()
	k := keysOf(t, Options{Audiences: []string{"https://rt.example.com:8443", "http://127.0.0.1"}}, current)
	for base, want := range map[string]bool{
		"https://rt.example.com:8443": true, "https://RT.example.com": true, "http://127.0.0.1": true, "http://127.0.0.1:80": true,
		"https://rt.example.com:443": false, "http://rt.example.com:8443": false, "https://127.0.0.1": false, "http://127.0.0.1:81": false,
		"https://rt.example.com.evil.example": false,
	} {
		token, err := k.Sign(Grant{Audience: base + "/client/?hub=chat", Expires: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Token(token, Client, "chat", nil); (err == nil) != want {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	k := keysOf(t, Options{}, current, previous)
	secret := []byte(current)
	claims := func(format string, a ...any) string { return "{" + clientOfChat + fmt.Sprintf(format, a...) + "}" }
	good := claims(`,"exp":%d`, at(time.Minute))
	valid := signText(t, jwt.SigningMethodHS256, secret, "", good)
	for name, c := range map[string]struct{ token, want string }{
		"HS256":                 {valid, ""},
		"HS512":                 {signText(t, jwt.SigningMethodHS512, secret, "", good), ""},
		"the other key":         {signText(t, jwt.SigningMethodHS256, []byte(previous), `,"kid":"1234"`, good), ""},
		"just expired":          {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d`, at(-15*time.Second))), ""},
		"not yet, by a little":  {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d,"nbf":%d`, at(time.Minute), at(15*time.Second))), ""},
		"a list of one aud":     {signText(t, jwt.SigningMethodHS256, secret, "", fmt.Sprintf(`{"aud":["http://a/client/?hub=chat"],"exp":%d}`, at(time.Minute))), ""},
		"a list of two":         {signText(t, jwt.SigningMethodHS256, secret, "", fmt.Sprintf(`{"aud":["http://a/client/?hub=chat","x"],"exp":%d}`, at(time.Minute))), "The audience is invalid"},
		"an empty list":         {signText(t, jwt.SigningMethodHS256, secret, "", fmt.Sprintf(`{"aud":[],"exp":%d}`, at(time.Minute))), "The audience is invalid"},
		"aud twice":             {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d,"aud":null`, at(time.Minute))), "The audience is invalid"},
		"no aud":                {signText(t, jwt.SigningMethodHS256, secret, "", fmt.Sprintf(`{"exp":%d}`, at(time.Minute))), "The audience is invalid"},
		"a number as aud":       {signText(t, jwt.SigningMethodHS256, secret, "", fmt.Sprintf(`{"aud":7,"exp":%d}`, at(time.Minute))), "The audience is invalid"},
		"expired":               {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d`, at(-time.Minute))), "The token expired"},
		"no exp":                {signText(t, jwt.SigningMethodHS256, secret, "", "{"+clientOfChat+"}"), "The token has no expiration"},
		"not yet":               {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d,"nbf":%d`, at(2*time.Minute), at(time.Minute))), "The token is not valid yet"},
		"never":                 {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":1,"nbf":%d`, at(time.Minute))), "The token is not valid yet"},
		"a key of another hub":  {signText(t, jwt.SigningMethodHS256, []byte(other), "", good), "The signature is invalid"},
		"HS384":                 {signText(t, jwt.SigningMethodHS384, secret, "", good), "The algorithm is not accepted"},
		"none":                  {signText(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", good), "The signature is invalid"},
		"crit":                  {signText(t, jwt.SigningMethodHS256, secret, `,"crit":["exp"]`, good), "The token has a critical header that is not understood"},
		"no signature":          {valid[:strings.LastIndex(valid, ".")+1], "The signature is invalid"},
		"another payload":       {strings.Replace(valid, ".", ".e", 1), "The signature is invalid"},
		"no token":              {"garbage", "The token is malformed"},
		"nothing":               {"", "The token is malformed"},
		"space":                 {" ", "The token is malformed"},
		"an API key":            {other, "The token is malformed"},
		"the access key itself": {current, "The token is malformed"},
		"null":                  {signText(t, jwt.SigningMethodHS256, secret, "", "null"), "The token is malformed"},
		"alg of another length": {signText(t, jwt.SigningMethodHS256, secret, `,"alg":"HS512"`, good), "The algorithm is not accepted"},
		"alg none, signed":      {signText(t, jwt.SigningMethodHS256, secret, `,"alg":"none"`, good), "The algorithm is not accepted"},
		"alg twice":             {signText(t, jwt.SigningMethodHS256, secret, `,"alg":["HS256"]`, good), "The algorithm is not accepted"},
		"kid of a file":         {signText(t, jwt.SigningMethodHS256, secret, `,"kid":"../../dev/null","jwk":{"kty":"oct","k":""},"jku":"http://a/"`, good), ""},
		"b64":                   {signText(t, jwt.SigningMethodHS256, secret, `,"b64":false`, good), "The token has a critical header that is not understood"},
		"Crit":                  {signText(t, jwt.SigningMethodHS256, secret, `,"Crit":["exp"]`, good), ""},
		"no object in front":    {signParts(t, jwt.SigningMethodHS256, secret, "[]", good), "The token is malformed"},
		"four parts":            {signParts(t, jwt.SigningMethodHS256, secret, `{"alg":"HS256"}`, good, good), "The token is malformed"},
		"two values":            {signText(t, jwt.SigningMethodHS256, secret, "", good+good), "The token is malformed"},
		"a list":                {signText(t, jwt.SigningMethodHS256, secret, "", "["+good+"]"), "The token is malformed"},
		"half an object":        {signText(t, jwt.SigningMethodHS256, secret, "", strings.TrimSuffix(good, "}")), "The token is malformed"},
		"text as exp":           {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":"%d"`, at(time.Minute))), "The token is malformed"},
		"null as exp":           {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d,"exp":null`, at(time.Minute))), "The token has no expiration"},
		"a list as nbf":         {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d,"nbf":[1]`, at(time.Minute))), "The token is malformed"},
		"far future nbf":        {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d,"nbf":1e300`, at(time.Minute))), "The token is not valid yet"},
		"an exp of no year":     {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":1e300`)), ""},
		"an exp before all":     {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":-1e300`)), "The token expired"},
		"too long":              {signText(t, jwt.SigningMethodHS256, secret, "", claims(`,"exp":%d,"x":%q`, at(time.Minute), strings.Repeat("x", 13<<10))), "The token is too long"},
	} {
		_, err := k.Token(c.token, Client, "chat", nil)
		if err != nil && reasonOf(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && len(c.token) > 1 && strings.Contains(err.Error(), c.token) {
			t.Errorf("%s: the error quotes the token: %v", name, err)
		}
	}
	if _, err := (&Keys{}).Token(valid, Client, "chat", nil); err == nil {
		t.Error("keys without a key admit a token")
	}
}

// A token that has expired, and nothing else, is told apart: the requests of a connection that it
// has opened may still carry it.
func TestExpiredTokens(t *testing.T) {
	t.Parallel()
	k := keysOf(t, Options{}, current)
	for claims, want := range map[string]bool{
		fmt.Sprintf(`{%s,"nameid":"ann","exp":1}`, clientOfChat):                                  true,
		fmt.Sprintf(`{%s,"nameid":"ann","exp":1,"nbf":%d}`, clientOfChat, at(time.Hour)):          false,
		`{"aud":"http://localhost/server/?hub=chat","nameid":"ann","exp":1}`:                      false,
		fmt.Sprintf(`{"aud":"http://a/server/?hub=chat","nameid":"ann","exp":%d}`, at(time.Hour)): false,
	} {
		token, err := k.Token(signText(t, jwt.SigningMethodHS256, []byte(current), "", claims), Client, "chat", nil)
		if err == nil || errors.Is(err, ErrExpired) != want && token != nil || want && (token == nil || token.UserID() != "ann" || token.Expires.Unix() != 1) {
			t.Errorf("%s: %+v, %v", claims, token, err)
		}
	}
	if token, err := k.Token(signText(t, jwt.SigningMethodHS256, []byte(other), "", `{`+clientOfChat+`,"exp":1}`), Client, "chat", nil); token != nil || errors.Is(err, ErrExpired) {
		t.Errorf("signed with another key: %v, %v", token, err)
	}
}

func TestClaimsAreInTheOrderOfTheToken(t *testing.T) {
	t.Parallel()
	k := keysOf(t, Options{}, current)
	text := signText(t, jwt.SigningMethodHS256, []byte(current), "", fmt.Sprintf(`{"z":"last","nbf":1, "role" : [ "a", 7 , null ,["b"]],"iat":1,"http://x/role":"owner",
		"big":12345678901234567,"f":1.50,"yes":true,"no":false,"nothing":null,"o":{"a": [1] },"none":[],"iss":"azure-signalr",%s,"exp":%d,
		"asrs.u.exp":"mine","asrs.u.asrs.s.uid":"theirs","asrs.s.uid":"ann","nameid":"bob","role":"again"}`, clientOfChat, at(time.Minute)))
	token, err := k.Token(text, Client, "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Claim{
		{"z", "last"}, {"role", "a"}, {"role", "7"}, {"role", ""}, {"role", `["b"]`}, {"http://x/role", "owner"},
		{"big", "12345678901234567"}, {"f", "1.50"}, {"yes", "true"}, {"no", "false"}, {"nothing", ""}, {"o", `{"a": [1] }`},
		{"exp", "mine"}, {"asrs.s.uid", "theirs"}, {"nameid", "bob"}, {"role", "again"},
	}
	if got := token.UserClaims(); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := token.UserID(); got != "ann" {
		t.Errorf("user %q", got)
	}
}

func TestSignedTokens(t *testing.T) {
	t.Parallel()
	k := keysOf(t, Options{}, current, previous)
	expires := time.Now().Add(time.Hour)
	text, err := k.Sign(Grant{
		Audience: "http://a/client/?hub=chat", UserID: "ann", Expires: expires,
		Claims: []Claim{{"role", "a"}, {"role", "b"}, {"exp", "1"}, {"aud", "x"}, {"iss", "me"}, {"nameid", "bob"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := keysOf(t, Options{}, current).Token(text, Client, "chat", nil)
	if err != nil || token.UserID() != "ann" || !slices.Equal(token.UserClaims(), []Claim{{"nameid", "ann"}, {"role", "a"}, {"role", "b"}}) || token.Expires.Unix() != expires.Unix() {
		t.Errorf("%+v, %v", token, err)
	}
	if _, err := (&Keys{}).Sign(Grant{}); err == nil {
		t.Error("signed without a key")
	}
}

// However often a client sends tokens that are not valid: nothing but their signature is looked at,
// and few lines are logged, without the secrets.
func TestTenThousandWrongKeys(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	k := keysOf(t, Options{}, current, previous)
	const times = 10_000
	long := signText(t, jwt.SigningMethodHS256, []byte(other), "", fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 16<<10)))
	wrong := signText(t, jwt.SigningMethodHS256, []byte(other), "", fmt.Sprintf(`{%s,"exp":%d}`, clientOfChat, at(time.Hour)))
	guarded := auth.Middleware(auth.Func(func(r *http.Request) (*auth.User, error) {
		text, _ := auth.Token(r)
		_, err := k.Token(text, Client, "chat", r)
		return nil, err
	}), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("admitted") }))
	for i := range times {
		text := wrong
		if i%2 == 0 {
			text = long
		}
		r := httptest.NewRequest(http.MethodPost, "/client/negotiate?hub=chat", nil)
		r.Header.Set("Authorization", "Bearer "+text)
		w := httptest.NewRecorder()
		if guarded.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
			t.Fatal(w.Code)
		}
	}
	authlog.Flush()
	signature := wrong[strings.LastIndex(wrong, "."):]
	for _, unread := range []string{"garbage.garbage", "e30.", strings.Repeat("[", 1000) + ".e30"} {
		if _, err := k.Token(unread+signature, Client, "chat", nil); reasonOf(err) != "The signature is invalid" {
			t.Errorf("%.20q was read before the signature: %v", unread, err)
		}
	}
	if _, err := k.Token(signText(t, jwt.SigningMethodHS512, []byte(previous), "", fmt.Sprintf(`{%s,"exp":%d}`, clientOfChat, at(time.Hour))), Client, "chat", nil); err != nil {
		t.Errorf("a good token: %v", err)
	}
	if lines := strings.Count(log.String(), "\n"); lines > 250 || lines == 0 || strings.Contains(log.String(), wrong) || strings.Contains(log.String(), long[:100]) {
		t.Errorf("%d lines: %.500s", lines, log.String())
	}
}

// Whatever is sent as a token: one that is accepted was signed with a key, is valid now and has the
// audience; its claims are those of its payload.
func FuzzToken(f *testing.F) {
	k := keysOf(f, Options{}, current, previous)
	good := fmt.Sprintf(`{%s,"exp":%d,"a":["b",1,{}],"asrs.s.uid":"ann"}`, clientOfChat, at(time.Hour))
	for _, claims := range []string{good, "null", "[]", `{"exp":1}`, `{"aud":[],"exp":1e300}`, good + "x", `{"aud":{"a":[]}}`, "{", `""`, `{"a":"\ud800"}`} {
		f.Add(signText(f, jwt.SigningMethodHS256, []byte(current), "", claims), claims)
		f.Add(signText(f, jwt.SigningMethodHS512, []byte(other), "", claims), claims)
	}
	f.Fuzz(func(t *testing.T, text, claims string) {
		if token, err := k.Token(text, Client, "chat", nil); err == nil && !isSigned(text) {
			t.Errorf("accepted %+v of %q", token, text)
		}
		token, err := k.Token(signText(t, jwt.SigningMethodHS256, []byte(current), "", claims), Client, "chat", nil)
		if err != nil {
			return
		}
		var content map[string]any
		if json.Unmarshal([]byte(claims), &content) != nil || content["aud"] == nil || content["exp"] == nil {
			t.Errorf("accepted %q", claims)
		}
		for _, c := range token.Claims {
			if _, ok := content[c.Type]; !ok || slices.Contains(validityClaims, c.Type) {
				t.Errorf("claim %+v of %q", c, claims)
			}
		}
	})
}

// isSigned reports whether text was signed with one of the keys.
func isSigned(text string) bool {
	i := strings.LastIndexByte(text, '.')
	signature, err := jwt.NewParser().DecodeSegment(strings.TrimSpace(text[i+1:]))
	if i < 0 || err != nil {
		return false
	}
	for _, key := range []string{current, previous} {
		for _, method := range []*jwt.SigningMethodHMAC{jwt.SigningMethodHS256, jwt.SigningMethodHS512} {
			if method.Verify(strings.TrimSpace(text[:i]), signature, []byte(key)) == nil {
				return true
			}
		}
	}
	return false
}
