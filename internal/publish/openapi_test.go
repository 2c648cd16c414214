package publish_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/publish"
)

const documentFile = "../../docs/openapi.json"

// UPDATE=1 writes the file.
func TestTheDocumentInTheRepositoryIsTheOneThatIsServed(t *testing.T) {
	t.Parallel()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(documentFile, publish.Document(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(documentFile)
	if err != nil || string(file) != string(publish.Document()) {
		t.Errorf("docs/openapi.json is not the document of the routes (%v); UPDATE=1 go test ./internal/publish -run Document writes it", err)
	}
	l := newLab(t, hosting.Options{})
	for _, method := range []string{"GET", "HEAD"} {
		if w := l.want(http.StatusOK, "", method, "/api/openapi.json", "", "X-Api-Key", ""); w.Header().Get("Content-Length") != strconv.Itoa(len(file)) {
			t.Errorf("%s has the headers %v", method, w.Header())
		}
	}
	l.want(http.StatusMethodNotAllowed, "Error.Request.MethodNotAllowed", "POST", "/api/openapi.json", "")
}

// Each operation of the document is answered with the status that the document has.
func TestTheDocumentIsTrue(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths      map[string]map[string]json.RawMessage
		Components map[string]map[string]any
	}
	if err := json.Unmarshal(publish.Document(), &document); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for path, operations := range document.Paths {
		for method, text := range operations {
			if method == "parameters" {
				continue
			}
			var o struct {
				OperationID string
				Parameters  []struct{ Name string }
				RequestBody any
				Responses   map[string]any
			}
			if err := json.Unmarshal(text, &o); err != nil {
				t.Fatal(err)
			}
			if ids[o.OperationID] || o.OperationID == "" {
				t.Errorf("%s %s has the id %q", method, path, o.OperationID)
			}
			ids[o.OperationID] = true
			l := newLab(t, hosting.Options{})
			a := l.connect("a", "json", "u", "g")
			a.answers(func(frame string) string { return completionOf(frame, `"result":1`) })
			l.want(http.StatusOK, "", "PUT", "/api/hubs/chat/users/u/groups/g?"+version, "")
			url := strings.NewReplacer("{hub}", "chat", "{group}", "g", "{user}", "u", "{connection}", "a").Replace(path)
			for _, p := range o.Parameters {
				if p.Name == "api-version" {
					url += "?" + version
				}
			}
			body := ""
			if o.RequestBody != nil {
				body = news
			}
			w := l.ask(strings.ToUpper(method), url, body)
			if _, has := o.Responses[strconv.Itoa(w.Code)]; !has || w.Code > 299 {
				t.Errorf("%s %s is answered %d %s", method, url, w.Code, w.Body)
			}
		}
	}
	for _, match := range regexp.MustCompile(`"#/components/(\w+)/([^"]+)"`).FindAllSubmatch(publish.Document(), -1) {
		if document.Components[string(match[1])][string(match[2])] == nil {
			t.Errorf("there is no %s", match[0])
		}
	}
}
