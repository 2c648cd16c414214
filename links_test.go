package carillon_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fence   = regexp.MustCompile("(?ms)^\\s*```.*?^\\s*```$")
	dropped = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// Links between the pages of the repository lead to files and headings that exist.
func TestLinksOfPages(t *testing.T) {
	atRoot, _ := filepath.Glob("*.md")
	pages, _ := filepath.Glob("docs/*.md")
	for _, page := range append(pages, atRoot...) {
		for _, found := range link.FindAllStringSubmatch(prose(t, page), -1) {
			checkLink(t, page, found[1])
		}
	}
}

func checkLink(t *testing.T, page, target string) {
	t.Helper()
	if strings.Contains(target, "://") {
		return
	}
	name, anchor, _ := strings.Cut(target, "#")
	file := page
	if name != "" {
		file = filepath.Join(filepath.Dir(page), name)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s: %s: %v", page, target, err)
		return
	}
	if anchor != "" && strings.HasSuffix(file, ".md") && !hasAnchor(t, file, anchor) {
		t.Errorf("%s: %s: there is no such heading", page, target)
	}
}

// hasAnchor reports whether a page has a heading with the anchor, as GitHub makes it.
func hasAnchor(t *testing.T, page, anchor string) bool {
	t.Helper()
	for _, found := range heading.FindAllStringSubmatch(prose(t, page), -1) {
		text := dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(found[1])), "")
		if strings.ReplaceAll(text, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// prose returns a page without its blocks of code.
func prose(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return fence.ReplaceAllString(string(text), "")
}
