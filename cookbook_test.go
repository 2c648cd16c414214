package carillon_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCookbook: the code of the recipes is code of examples/cookbook, which has its own tests.
func TestCookbook(t *testing.T) {
	recipes, err := os.ReadFile("docs/cookbook.md")
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]string{"go": source(t, "*.go") + source(t, "contract/contract.go"), "ts": source(t, "web/recipes.ts")}
	blocks := regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllSubmatch(recipes, -1)
	for _, block := range blocks {
		if !strings.Contains(code[string(block[1])], withoutIndent(block[2])) {
			t.Errorf("examples/cookbook does not have this code:\n%s", block[2])
		}
	}
	if len(blocks) < 20 {
		t.Errorf("only %d recipes", len(blocks))
	}
}

// source returns the text of files of examples/cookbook.
func source(t *testing.T, pattern string) (all string) {
	t.Helper()
	paths, err := filepath.Glob("examples/cookbook/" + pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no files; %v", pattern, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all += withoutIndent(text)
	}
	return all
}

// withoutIndent returns a text without spaces at the beginning of lines.
func withoutIndent(text []byte) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(string(text), "")
}

// TestTypeScriptRecipes: the recipes in TypeScript compile.
func TestTypeScriptRecipes(t *testing.T) {
	r := newReader(t)
	for _, name := range []string{"recipes.ts", "markethub.ts"} {
		content, err := os.ReadFile("examples/cookbook/web/" + name)
		if err != nil {
			t.Fatal(err)
		}
		r.write("web/"+name, content)
	}
	for _, name := range []string{"tsconfig.json", "package.json"} {
		content, err := os.ReadFile("examples/chat/" + name)
		if err != nil {
			t.Fatal(err)
		}
		r.write(name, content)
	}
	r.run("npm install")
	r.run("npm run build")
}
