package capi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const header = "../../../../include/nswatch.h"

// The functions and constants of the header.
func declared(t *testing.T) (functions, constants map[string]bool) {
	t.Helper()
	bytes, err := os.ReadFile(header)
	if err != nil {
		t.Skip("SKIPPED: the header to compare with is only in the repository of the library:", err)
	}
	text := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(bytes), "")
	find := func(pattern string) map[string]bool {
		found := map[string]bool{}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			found[match[1]] = true
		}
		return found
	}
	functions = find(`\b(nsw_\w+|nsid_\w+)\(`)
	constants = find(`(?m)^#define ((?:NSW|NSID)_\w+) `)
	// guards against patterns that no longer match
	if len(functions) < 30 || len(constants) < 30 {
		t.Fatalf("only %d functions and %d constants found in the header", len(functions), len(constants))
	}
	return functions, constants
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// The names that code uses from a package.
func taken(from string, node ast.Node) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(node, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if left, ok := selector.X.(*ast.Ident); ok && left.Name == from {
				names[selector.Sel.Name] = true
			}
		}
		return true
	})
	return names
}

// Whether a Go name matches a C name: without prefix and underscores.
func named(goName, cName string) bool {
	switch cName {
	case "NSID_NOT_ASSIGNED":
		return goName == "NotAssigned"
	}
	plain := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(cName), "nsw_"), "_", "")
	return strings.ToLower(goName) == plain
}

func TestEveryFunctionOfTheHeaderOnce(t *testing.T) {
	functions, _ := declared(t)
	for _, declaration := range parse(t, "capi.go").Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		var called []string
		for name := range taken("C", function.Body) {
			if functions[name] {
				called = append(called, name)
			}
		}
		if function.Recv != nil && len(called) == 0 {
			continue // converts the struct
		}
		if len(called) != 1 || !named(function.Name.Name, called[0]) {
			t.Errorf("%s calls %v: it must call only the function of its name", function.Name.Name, called)
			continue
		}
		delete(functions, called[0])
	}
	for name := range functions {
		t.Errorf("%s of the header is missing", name)
	}
}

func TestEveryConstantOfTheHeaderOnce(t *testing.T) {
	_, constants := declared(t)
	for _, declaration := range parse(t, "capi.go").Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			for name := range taken("C", value) {
				if !named(value.Names[0].Name, name) {
					t.Errorf("%s has the value of %s", value.Names[0].Name, name)
				}
				delete(constants, name)
			}
		}
	}
	for name := range constants {
		t.Errorf("%s of the header is missing", name)
	}
}

// The names that package nswatch does not use, and why.
var unused = map[string]string{
	"WaitEvent":    "Go's poller waits",
	"NetnsWait":    "the same",
	"EventName":    "the end of the path",
	"EventDev":     "EventNetns has it",
	"EventIno":     "the same",
	"EventCookie":  "the same",
	"OpenNetns":    "NetnsOpen needs no watcher",
	"VersionMajor": "Version() returns that of the loaded library",
	"VersionMinor": "the same",
	"VersionPatch": "the same",
}

func TestPackageNswatchUsesEveryFunction(t *testing.T) {
	used := map[string]bool{}
	files, err := filepath.Glob("../../*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files of package nswatch:", err)
	}
	for _, path := range files {
		if !strings.HasSuffix(path, "_test.go") {
			for name := range taken("capi", parse(t, path)) {
				used[name] = true
			}
		}
	}
	for name, object := range parse(t, "capi.go").Scope.Objects {
		if object.Kind == ast.Typ {
			continue
		}
		if _, known := unused[name]; used[name] == known {
			t.Errorf("%s: used by package nswatch: %v, listed as unused: %v", name, used[name], known)
		}
	}
}
