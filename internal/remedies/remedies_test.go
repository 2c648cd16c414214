package remedies

import (
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	for _, m := range Marks {
		if m.Mark == "" || m.Kind == "" || m.Mark != strings.ToLower(m.Mark) {
			t.Errorf("%+v is looked for in lower case", m)
		}
	}
	kinds := make(map[string]bool)
	for _, m := range Marks {
		kinds[m.Kind] = true
	}
	for kind, byCode := range Boxes {
		if !kinds[kind] {
			t.Errorf("nobody is known as %s", kind)
		}
		for code, c := range byCode {
			if c.Text == "" || len(c.Lines) == 0 {
				t.Errorf("%s %s: %+v", kind, code, c)
			}
			// Silence has an advice of its own in place of a general one.
			if _, general := General[code]; !general && code != "idle-cut" {
				t.Errorf("%s: known for %s, and not in general", code, kind)
			}
		}
	}
	for status, code := range Statuses {
		if General[code].Text == "" {
			t.Errorf("%d: nothing is known about %q", status, code)
		}
	}
	if len(Telling) == 0 || len(Statuses) == 0 {
		t.Error("the tables are empty")
	}
}
