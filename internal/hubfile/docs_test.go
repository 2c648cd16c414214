package hubfile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of the settings into docs/gateway.md")

// document has the table of the settings between two marks.
const (
	document = "../../docs/gateway.md"
	begin    = "<!-- settings of a hub: begin -->\n"
	end      = "<!-- settings of a hub: end -->\n"
)

// docs/gateway.md has each setting of a hub with its default and its description.
func TestDocumentHasEverySetting(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("the document has no place for the table")
	}
	want := "| Key | Default | Reload | |\n| --- | --- | --- | --- |\n" + rows("", reflect.TypeFor[Hub]())
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table differs: go test ./internal/hubfile -run Document -update. It should be\n%s", want)
	}
	if err := os.WriteFile(document, []byte(before+begin+want+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rows returns the rows of the settings below a key.
func rows(path string, of reflect.Type) string {
	var all strings.Builder
	for f := range fieldsOf(of) {
		key, kind, reload := join(path, f.Tag.Get("key")), f.Type, ""
		if f.Tag.Get("reload") != "" {
			reload = "yes"
		}
		help := strings.ReplaceAll(f.Tag.Get("help"), "|", "\\|")
		if enum := f.Tag.Get("enum"); enum != "" {
			help += " One of " + strings.ReplaceAll(enum, ",", ", ") + "."
			if kind.Kind() == reflect.Slice {
				help = strings.Replace(help, "One of", "Any of", 1)
			}
		}
		fmt.Fprintf(&all, "| `%s` | %s | %s | %s |\n", key, f.Tag.Get("default"), reload, help)
		switch {
		case kind.Kind() == reflect.Pointer:
			kind = kind.Elem()
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			kind, key = kind.Elem(), key+"[]"
		}
		if kind.Kind() == reflect.Struct {
			all.WriteString(rows(key, kind))
		}
	}
	return all.String()
}

// Every setting has a description that ends in a full stop.
func TestSettingsAreDescribed(t *testing.T) {
	for line := range strings.Lines(rows("", reflect.TypeFor[Hub]())) {
		if !strings.HasSuffix(line, ". |\n") {
			t.Error(line)
		}
	}
}

var configuration = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$")

// The configuration files in the documents have no errors.
func TestConfigurationsOfDocuments(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("there are no documents:", err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range configuration.FindAllStringSubmatch(string(text), -1) {
			yaml := strings.ReplaceAll("\n"+block[2], "\n"+block[1], "\n")
			if !strings.Contains(yaml, "\nhubs:") {
				continue
			}
			if _, err := Parse(page, []byte(yaml)); err != nil {
				t.Errorf("%s\nin%s", err, yaml)
			}
		}
	}
}
