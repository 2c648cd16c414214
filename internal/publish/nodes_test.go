package publish_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/hosting"
)

// Publishing at one node reaches the clients of another.
func TestPublishingReachesOtherNodes(t *testing.T) {
	t.Parallel()
	memory := &backplane.Memory{}
	node := func() *lab {
		plane := backplane.New(memory.Broker(), backplane.Options{Hub: "chat"})
		t.Cleanup(plane.Close)
		return newLab(t, hosting.Options{Options: hub.Options{Backplane: plane}})
	}
	here, there := node(), node()
	a := there.connect("a", "json", "u")
	b := there.connect("b", "messagepack", "")
	reaches := func(url, body string, header ...string) {
		t.Helper()
		eventually(t, func() bool { // from the moment that the other node has joined
			here.want(http.StatusAccepted, "", "POST", url+"?"+version, body, header...)
			return strings.Contains(a.received(), sent)
		})
	}
	for _, path := range []string{"", "/users/u", "/connections/a"} {
		reaches("/api/hubs/chat"+path+"/:send", news)
		reaches("/api/hubs/chat"+path+"/:send", frames("json", sent, "messagepack", packed(t, "news", 1)), "Content-Type", "application/octet-stream")
	}

	here.want(http.StatusOK, "", "PUT", "/api/hubs/chat/groups/g/connections/a?"+version, "")
	here.want(http.StatusOK, "", "PUT", "/api/hubs/chat/users/u/groups/h?ttl=100&"+version, "")
	b.received()
	reaches("/api/hubs/chat/groups/g/:send", news)
	reaches("/api/hubs/chat/groups/h/:send", news)
	b.want("")
	for _, path := range []string{"groups/g/connections", "users/v/groups/h"} { // a broker does not know who is in a group
		here.want(http.StatusServiceUnavailable, "Error.Service.Unavailable", "GET", "/api/hubs/chat/"+path+"?"+version, "")
	}
	a.answers(func(frame string) string { return completionOf(frame, `"result":[1]`) })
	if got := here.want(http.StatusOK, "", "POST", "/api/hubs/chat/connections/a/:invoke?"+version, news).Body.String(); got != `{"result":[1],"protocol":"json"}` {
		t.Errorf("the answer is %s", got)
	}
	for path, status := range map[string]int{
		"connections/a": http.StatusOK, "connections/none": http.StatusNotFound, "users/u": http.StatusOK, "users/none": http.StatusNotFound,
		"groups/g": http.StatusOK, "groups/none": http.StatusNotFound,
	} {
		here.want(status, "", "HEAD", "/api/hubs/chat/"+path+"?"+version, "")
	}
	here.want(http.StatusNotFound, "", "PUT", "/api/hubs/chat/groups/g/connections/none?"+version, "")
	here.want(http.StatusOK, "", "DELETE", "/api/hubs/chat/connections/a?"+version, "")
	<-a.ctx.Done()
}
