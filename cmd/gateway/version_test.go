package main

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
)

// The version names the tag, the revision and whether the tree had changes.
func TestPrintVersion(t *testing.T) {
	t.Parallel()
	build := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}
	for _, s := range []struct{ key, value, want string }{
		{"", "", "carillon gateway v1.2.3, go"},
		{"vcs.revision", "0123456789abcdef", "v1.2.3 (revision 0123456789ab, )"},
		{"vcs.time", "2026-01-02T03:04:05Z", "(revision 0123456789ab, 2026-01-02T03:04:05Z)"},
		{"vcs.modified", "true", "05Z, with changes)"},
	} {
		build.Settings = append(build.Settings, debug.BuildSetting{Key: s.key, Value: s.value})
		var out bytes.Buffer
		if err := printVersion(&out, build); err != nil || !strings.Contains(out.String(), s.want) {
			t.Errorf("%q, %v: %q is missing", out.String(), err, s.want)
		}
	}
}
