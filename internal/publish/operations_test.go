package publish_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/hosting"
)

const (
	news = `{"target":"news","arguments":[1]}`
	sent = `{"type":1,"target":"news","arguments":[1]}` + "\x1e"
)

func TestAMessageReachesTheAudienceOfItsPath(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		path     string
		reaches  string // letters of the clients
		reachesV string // in v1: the path without :send
	}{
		{"/hubs/chat/:send", "abc", "abc"},
		{"/hubs/CHAT/:SEND", "abc", ""},
		{"/hubs/chat/:send?excluded=a&excluded=c", "b", "b"},
		{"/hubs/chat/groups/g/:send", "ab", "ab"},
		{"/hubs/chat/groups/g/:send?excluded=b", "a", "a"},
		{"/hubs/chat/groups/a%2Fb%20c/:send", "c", "c"},
		{"/hubs/chat/groups/none/:send", "", ""},
		{"/hubs/chat/users/u/:send", "ac", "ac"},
		{"/hubs/chat/users/none/:send", "", ""},
		{"/hubs/chat/connections/b/:send", "b", "b"},
		{"/hubs/chat/connections/none/:send", "", ""},
	} {
		l := newLab(t, hosting.Options{})
		all := map[string]*client{
			"a": l.connect("a", "json", "u", "g"), "b": l.connect("b", "json", "v", "g"), "c": l.connect("c", "json", "u", "a/b c"),
		}
		check := func(url, reaches string) {
			t.Helper()
			if body := l.want(http.StatusAccepted, "", "POST", url, news).Body; body.Len() > 0 {
				t.Errorf("%s: the body is %s", url, body)
			}
			for name, c := range all {
				if strings.Contains(reaches, name) {
					c.want(sent)
				} else {
					c.want("")
				}
			}
		}
		separator := "?"
		if strings.Contains(row.path, "?") {
			separator = "&"
		}
		check("/api"+row.path+separator+version, row.reaches)
		check("/api"+row.path+separator+"api-version=2022-06-01", row.reaches)
		if v1 := strings.Replace(row.path, "/:send", "", 1); v1 != row.path {
			check("/api/v1"+v1, row.reachesV)
		}
	}
}

func TestClosingReachesTheAudienceOfItsPath(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		method, path string
		status       int
		closes       string
	}{
		{"POST", "/api/hubs/chat/:closeConnections?reason=enough", 204, "abc"},
		{"POST", "/api/hubs/chat/:closeConnections?excluded=b&reason=enough", 204, "ac"},
		{"POST", "/api/hubs/chat/groups/g/:closeConnections?reason=enough", 204, "ab"},
		{"POST", "/api/hubs/chat/groups/g/:closeConnections?reason=enough&excluded=a", 204, "b"},
		{"POST", "/api/hubs/chat/users/u/:closeConnections?reason=enough", 204, "ac"},
		{"POST", "/api/hubs/chat/users/u/:closeConnections?reason=enough&excluded=a&excluded=x", 204, "c"},
		{"DELETE", "/api/hubs/chat/connections/a?reason=enough", 200, "a"},
		{"DELETE", "/api/hubs/chat/connections/none?reason=enough", 200, ""},
		{"DELETE", "/api/v1/hubs/chat/connections/a?reason=enough", 202, "a"},
		{"DELETE", "/api/v1/hubs/chat/connections/none", 202, ""},
	} {
		l := newLab(t, hosting.Options{})
		all := map[string]*client{
			"a": l.connect("a", "json", "u", "g"), "b": l.connect("b", "json", "v", "g"), "c": l.connect("c", "json", "u"),
		}
		url := row.path
		if !strings.Contains(url, "/v1/") {
			url += "&" + version
		}
		l.want(row.status, "", row.method, url, "")
		for name, c := range all {
			if !strings.Contains(row.closes, name) {
				c.want("")
				continue
			}
			<-c.ctx.Done()
			c.want(`{"type":7,"error":"enough","allowReconnect":true}` + "\x1e")
		}
	}
}

func TestExistence(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	l.connect("a", "json", "u", "g")
	for path, missing := range map[string]string{
		"connections": "Warning.Connection.NotExisted", "groups": "Warning.Group.NotExisted", "users": "Warning.User.NotExisted",
	} {
		name := map[string]string{"connections": "a", "groups": "g", "users": "u"}[path]
		for _, method := range []string{"GET", "HEAD"} {
			for _, root := range []string{"/api/v1/hubs/chat/", "/api/hubs/chat/"} {
				l.want(http.StatusOK, "", method, root+path+"/"+name+"?"+version, "")
				l.want(http.StatusNotFound, missing, method, root+path+"/none?"+version, "")
			}
		}
	}
}

func TestConnectionsJoinAndLeaveGroups(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	l.connect("a", "json", "")
	inGroup := func(group string, in bool) {
		t.Helper()
		status := http.StatusOK
		if !in {
			status = http.StatusNotFound
		}
		l.want(status, "", "HEAD", "/api/hubs/chat/groups/"+group+"?"+version, "")
	}
	for _, root := range []string{"/api/v1/hubs/chat", "/api/hubs/chat"} {
		for _, path := range []string{"/groups/g/connections/a", "/connections/a/groups/g"} {
			l.want(http.StatusOK, "", "PUT", root+path+"?"+version, "")
			inGroup("g", true)
			l.want(http.StatusOK, "", "DELETE", root+path+"?"+version, "")
			inGroup("g", false)
			l.want(http.StatusOK, "", "DELETE", root+path+"?"+version, "")
		}
		for _, method := range []string{"PUT", "DELETE"} {
			l.want(http.StatusNotFound, "Error.Connection.NotExisted", method, root+"/groups/g/connections/none?"+version, "")
		}
	}
	l.want(http.StatusOK, "", "PUT", "/api/hubs/chat/groups/g/connections/a?"+version, "")
	l.want(http.StatusOK, "", "PUT", "/api/hubs/chat/groups/h/connections/a?"+version, "")
	l.want(http.StatusOK, "", "DELETE", "/api/hubs/chat/connections/a/groups?"+version, "")
	inGroup("g", false)
	inGroup("h", false)
	l.want(http.StatusOK, "", "DELETE", "/api/hubs/chat/connections/none/groups?"+version, "")
}

func TestUsersJoinAndLeaveGroups(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"/api/v1/hubs/chat", "/api/hubs/chat"} {
		added, removed, cleared := http.StatusOK, http.StatusNoContent, http.StatusNoContent
		if strings.Contains(root, "v1") {
			added, removed, cleared = http.StatusAccepted, http.StatusAccepted, http.StatusOK
		}
		for _, path := range []string{"/groups/g/users/u", "/users/u/groups/g"} {
			l := newLab(t, hosting.Options{})
			url, groups := root+path+"?"+version, "/api/hubs/chat/groups/g/:send?"+version
			a := l.connect("a", "json", "u")
			l.want(http.StatusNotFound, "Info.User.NotInGroup", "HEAD", url, "")
			l.want(http.StatusNotFound, "Info.User.NotInGroup", "GET", url, "")

			l.want(added, "", "PUT", url+"&ttl=0", "") // present connections
			l.want(http.StatusOK, "", "HEAD", url, "")
			b := l.connect("b", "json", "u")
			l.want(http.StatusAccepted, "", "POST", groups, news)
			a.want(sent)
			b.want("")

			l.want(added, "", "PUT", url+"&ttl=1000", "") // later ones, too
			c := l.connect("c", "json", "u")
			l.want(http.StatusAccepted, "", "POST", groups, news)
			for _, joined := range []*client{a, b, c} {
				joined.want(sent)
			}

			l.want(removed, "", "DELETE", url, "")
			l.want(http.StatusNotFound, "Info.User.NotInGroup", "GET", url, "")
			l.connect("d", "json", "u")
			l.want(http.StatusNotFound, "Info.User.NotInGroup", "GET", url, "")

			l.want(added, "", "PUT", url+"&ttl=2147483647", "")
			l.want(added, "", "PUT", url, "")
			l.want(cleared, "", "DELETE", root+"/users/u/groups?"+version, "")
			l.want(http.StatusNotFound, "Info.User.NotInGroup", "GET", url, "")

			for _, ttl := range []string{"-1", "x", "1e3", "2147483648", ""} {
				l.want(http.StatusBadRequest, "Error.Request.Invalid", "PUT", url+"&ttl="+ttl, "")
			}
			l.want(http.StatusBadRequest, "Error.Request.Invalid", "PUT", url+"&ttl=1&ttl=2", "")
		}
	}
}

func TestAConnectionInTooManyGroups(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	l.connect("a", "json", "")
	name := strings.Repeat("%F0%9F%98%80", 1020) // 4 KiB
	for i := range 2000 {
		w := l.ask("PUT", "/api/hubs/chat/connections/a/groups/"+name+strconv.Itoa(i%10)+strconv.Itoa(i/10%10)+strconv.Itoa(i/100)+"?"+version, "")
		if w.Code != http.StatusOK {
			if code := w.Header().Get("x-ms-error-code"); code != "Error.Request.LimitExceeded" || w.Code != http.StatusBadRequest {
				t.Errorf("group %d is answered %d %s", i, w.Code, w.Body)
			}
			return
		}
	}
	t.Error("there is no limit")
}

func TestAGroupIsListedInPages(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		l.connect(id, "json", map[string]string{"b": "u"}[id], "g g")
	}
	type page struct {
		Value    []struct{ ConnectionID, UserID string }
		NextLink string
	}
	list := func(url string) (ids []string) {
		t.Helper()
		for pages := 0; url != ""; pages++ {
			var p page
			if err := json.Unmarshal(l.want(http.StatusOK, "", "GET", url, "").Body.Bytes(), &p); err != nil || pages > 5 || p.Value == nil {
				t.Fatalf("%v after %d pages: %+v", err, pages, p)
			}
			for _, m := range p.Value {
				ids = append(ids, m.ConnectionID)
				if m.ConnectionID == "b" != (m.UserID == "u") {
					t.Errorf("%+v", m)
				}
			}
			if url = p.NextLink; url != "" && !strings.HasPrefix(url, "http://example.com/api/hubs/chat/groups/g%20g/connections?") {
				t.Fatalf("the next link is %s", url)
			}
		}
		return ids
	}
	const all = "/api/hubs/chat/groups/g%20g/connections?" + version
	for query, want := range map[string]string{
		"": "abcde", "&maxpagesize=2": "abcde", "&maxpagesize=2&top=3": "abc", "&top=4": "abcd", "&maxpagesize=200&top=9": "abcde", "&continuationToken=c": "de",
	} {
		if got := strings.Join(list(all+query), ""); got != want {
			t.Errorf("%s lists %s", query, got)
		}
	}
	if got := list("/api/hubs/chat/groups/none/connections?" + version); len(got) > 0 {
		t.Errorf("a group that does not exist has %v", got)
	}
	for _, query := range []string{"maxpagesize=0", "maxpagesize=201", "maxpagesize=x", "top=0", "top=-1", "top=1&top=2"} {
		l.want(http.StatusBadRequest, "Error.Request.Invalid", "GET", all+"&"+query, "")
	}
	l.want(http.StatusNotFound, "Error.Request.NotExisted", "GET", strings.Replace(all, "2024-12-01", "2022-11-01", 1), "")
}

func TestAClientAnswersAnInvocation(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	a := l.connect("a", "json", "")
	const url = "/api/hubs/chat/connections/a/:invoke?" + version
	for completion, want := range map[string]string{
		`"result":{"b":1,"a":[12345678901234567890,"<"]}`: `{"result":{"b":1,"a":[12345678901234567890,"<"]},"protocol":"json"}`,
		`"result":null`: `{"result":null,"protocol":"json"}`,
	} {
		a.answers(func(frame string) string { return completionOf(frame, completion) })
		if got := l.want(http.StatusOK, "", "POST", url, news).Body.String(); got != want {
			t.Errorf("%s becomes %s", completion, got)
		}
	}
	a.answers(func(frame string) string { return completionOf(frame, `"error":"no time"`) })
	if w := l.want(http.StatusBadRequest, "Error.Connection.Invalid", "POST", url, news); !strings.Contains(w.Body.String(), "no time") {
		t.Errorf("the error of the client is missing: %s", w.Body)
	}
	a.answers(func(string) string { a.Close(nil); return `{"type":6}` })
	l.want(http.StatusNotFound, "Error.Connection.NotExisted", "POST", url, news)
	l.want(http.StatusNotFound, "Error.Connection.NotExisted", "POST", strings.Replace(url, "/a/", "/none/", 1), news)
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", url, news, "Idempotency-Key", "1")
	l.want(http.StatusNotFound, "Error.Request.NotExisted", "POST", strings.Replace(url, "2024-12-01", "2022-11-01", 1), news)
}

func completionOf(frame, rest string) string {
	var m struct{ InvocationID string }
	_ = json.Unmarshal([]byte(strings.TrimSuffix(frame, "\x1e")), &m) // the id is "" then
	return `{"type":3,"invocationId":"` + m.InvocationID + `",` + rest + `}`
}

func TestATokenForAClientIsMade(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	const url = "/api/hubs/Chat/:generateToken?api-version=2022-11-01"
	var made struct{ Token string }
	if err := json.Unmarshal(l.want(http.StatusOK, "", "POST", url+"&userId=u%20u&minutesToExpire=5", "").Body.Bytes(), &made); err != nil {
		t.Fatal(err)
	}
	token, err := l.keys.Token(made.Token, "/client/", "chat", nil)
	if err != nil || token.UserID() != "u u" {
		t.Errorf("%+v, %v", token, err)
	}
	for _, query := range []string{"minutesToExpire=0", "minutesToExpire=1441", "role=x", "group=g"} {
		l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", url+"&"+query, "")
	}
	l.want(http.StatusBadRequest, "Error.Request.Invalid", "POST", "/api/hubs/other/:generateToken?application=app&"+version, "", "X-Api-Key", otherKey)
	l.want(http.StatusNotFound, "Error.Request.NotExisted", "POST", strings.Replace(url, "2022-11-01", "2022-06-01", 1), "")
}
