package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// versionCommand prints the build: version, revision, Go and platform.
type versionCommand struct{}

func (versionCommand) Run(k *kong.Kong) error {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return printVersion(k.Stdout, build)
}

// printVersion prints one line, such as
//
//	carillon gateway v1.2.3 (revision 0123456789ab, 2026-11-30T10:00:00Z), go1.26.8 linux/amd64
//
// A build outside of version control has no revision.
func printVersion(w io.Writer, build *debug.BuildInfo) error {
	version := build.Main.Version
	if version == "" {
		version = "(devel)"
	}
	revision := ""
	if r := setting(build, "vcs.revision"); r != "" {
		revision = " (revision " + r[:min(12, len(r))] + ", " + setting(build, "vcs.time")
		if setting(build, "vcs.modified") == "true" {
			revision += ", with changes"
		}
		revision += ")"
	}
	_, err := fmt.Fprintf(w, "carillon gateway %s%s, %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func setting(build *debug.BuildInfo, key string) string {
	for _, s := range build.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
