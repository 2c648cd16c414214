package endpoint

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

func TestDiagnosePageIsAnOption(t *testing.T) {
	for _, on := range []bool{false, true} {
		e := New(hub.New(hub.Options{}), Options{Diagnose: on})
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/any/hub/diagnose", nil))
		if there := w.Code == http.StatusOK && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); there != on {
			t.Errorf("Diagnose %v: %d %s", on, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	diagnosePage().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hub/diagnose", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// What runs in the page is what its policy names by hash, and nothing comes from
// elsewhere.
func TestDiagnosePageKeepsItsPolicy(t *testing.T) {
	w := httptest.NewRecorder()
	diagnosePage().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/hub/diagnose", nil))
	page, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("policy %q", policy)
	}
	for _, tag := range []string{"script", "style"} {
		text := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindStringSubmatch(page)
		if text == nil || !strings.Contains(policy, tag+"-src '"+hashOf(text[1])+"'") {
			t.Errorf("the %s is not what the policy allows", tag)
		}
	}
	if found := regexp.MustCompile(`\son\w+=|style="|src="|href="http|\{\{`).FindString(page); found != "" {
		t.Errorf("the page has %s", found)
	}
}
