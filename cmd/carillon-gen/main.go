// Carillon-gen writes the typed code of a hub from two Go interfaces: the methods that
// clients may invoke, and the methods that every client implements.
//
//	go get -tool github.com/carillon-go/carillon/cmd/carillon-gen
//
//	//go:generate go tool carillon-gen -hub ChatHub -client Chat -ts ../web/chat.ts
//
// In the package of the interfaces it writes a Go file, NAME_gen.go, with the
// registration of the hub's methods, the typed context, and both sides of the Go client.
// With -ts it writes a TypeScript file on @microsoft/signalr. It also writes
// NAME.contract.json, which describes the contract on the wire and is committed. It
// refuses to write if the new contract would break clients that are deployed; -check
// compares only.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// settings are the command line.
type settings struct {
	dir        string          // of the package
	hub        string          // the interface that the hub implements
	client     string          // the interface that every client implements
	typescript string          // file; empty: none
	protocol   string          // of the TypeScript file: json or messagepack
	loose      bool            // slices and maps are never null in TypeScript
	check      bool            // write nothing
	mapped     map[string]kind // the forms of Go types on the wire
}

func main() {
	s := settings{mapped: map[string]kind{}}
	flag.StringVar(&s.dir, "dir", ".", "directory of the package")
	flag.StringVar(&s.hub, "hub", "", "the interface of the methods that clients may invoke")
	flag.StringVar(&s.client, "client", "", "the interface that every client implements")
	flag.StringVar(&s.typescript, "ts", "", "the TypeScript file to write, relative to the package")
	flag.StringVar(&s.protocol, "protocol", "json", "the hub protocol of the TypeScript file: json or messagepack")
	flag.BoolVar(&s.loose, "loose", false, "in TypeScript, slices and maps are never null")
	flag.BoolVar(&s.check, "check", false, "write nothing; fail if a file is out of date or a deployed client would break")
	flag.Func("map", "the form of a Go type on the wire, as in github.com/shopspring/decimal.Decimal=string; repeatable", s.addMapping)
	flag.Parse()
	warnings, err := run(s)
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "carillon-gen: warning:", w)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "carillon-gen:", err)
		os.Exit(1)
	}
}

// addMapping takes a value of -map.
func (s *settings) addMapping(value string) error {
	name, form, ok := strings.Cut(value, "=")
	if !ok || !slices.Contains(plainKinds, kind(form)) {
		return fmt.Errorf("write PACKAGE.TYPE=KIND with one of the kinds %v", plainKinds)
	}
	s.mapped[name] = kind(form)
	return nil
}

// file is a generated file.
type file struct {
	path    string
	content []byte
}

// run generates or checks. It returns warnings in either case.
func run(s settings) (warnings []string, err error) {
	if s.hub == "" || s.client == "" {
		return nil, errors.New("-hub and -client are needed: the names of two interfaces of the package")
	}
	if s.protocol != jsonProtocol && s.protocol != messagePack {
		return nil, fmt.Errorf("-protocol is %q: json or messagepack", s.protocol)
	}
	c, err := load(s)
	if err != nil {
		return nil, err
	}
	files, err := generate(s, c)
	if err != nil {
		return c.warnings, err
	}
	if err := checkContract(files[0]); err != nil {
		return c.warnings, err
	}
	if s.check {
		return c.warnings, checkFresh(files)
	}
	for _, f := range files {
		if err := f.write(); err != nil {
			return c.warnings, err
		}
	}
	return c.warnings, nil
}

// write writes the file, and makes its folder if there is none.
func (f file) write() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(f.path, f.content, 0o644)
}

// generate makes all files; the contract comes first.
func generate(s settings, c *contract) ([]file, error) {
	base := filepath.Join(s.dir, strings.ToLower(s.hub))
	described, err := describe(c)
	if err != nil {
		return nil, err
	}
	code, err := printGo(c)
	if err != nil {
		return nil, err
	}
	files := []file{{base + ".contract.json", described}, {base + "_gen.go", code}}
	if s.typescript != "" {
		path := s.typescript
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.dir, path)
		}
		files = append(files, file{path, printTypeScript(c, s.protocol, s.loose)})
	}
	return files, c.checkGenerated(files[1])
}

// checkFresh returns an error if a file on the disk is not the one that would be written.
func checkFresh(files []file) error {
	var stale []string
	for _, f := range files {
		if have, err := os.ReadFile(f.path); err != nil || !bytes.Equal(have, f.content) {
			stale = append(stale, f.path)
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("out of date: %s; run go generate", strings.Join(stale, ", "))
	}
	return nil
}
