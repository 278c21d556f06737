package capi_test

import (
	"go/ast"
	"go/types"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The Go types of the types of the header. cgo checks the types of arguments, but not those of results.
var inGo = map[string][]string{
	"void":          {""},
	"int":           {"int"},
	"int32_t":       {"int32", "int"}, // int where -1 is compared with a constant
	"uint32_t":      {"uint32"},
	"uint64_t":      {"uint64"},
	"size_t":        {"int"},
	"char *":        {"string"},
	"int32_t *":     {"*int32"},
	"size_t *":      {"*int"},
	"nsw_watcher *": {"*Watcher"}, "nsw_watcher **": {"**Watcher"},
	"nsw_options *": {"*Options"},
	"nsw_event *":   {"*Event"}, "nsw_event **": {"**Event"},

	"struct nsw_netns *": {"*Netns"},
}

// The public structs of the header: name and type of each member.
func structs(text string) map[string][][2]string {
	found := map[string][][2]string{}
	text = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(text, "")
	for _, match := range regexp.MustCompile(`(?s)struct (\w+) \{(.*?)\}`).FindAllStringSubmatch(text, -1) {
		found[match[1]] = [][2]string{}
		for _, part := range strings.Split(match[2], ";") {
			if words := strings.Fields(part); len(words) > 0 {
				last := len(words) - 1
				found[match[1]] = append(found[match[1]], [2]string{words[last], strings.Join(words[:last], " ")})
			}
		}
	}
	return found
}

// C writes to the memory of the Go struct: the same members, types and order.
func TestTheStructIsThatOfTheHeader(t *testing.T) {
	bytes, err := os.ReadFile(header)
	if err != nil {
		t.Skip("SKIPPED: the header to compare with is only in the repository of the library:", err)
	}
	all := structs(string(bytes))
	there := all["nsw_netns"]
	if len(all) != 1 || len(there) == 0 {
		t.Fatalf("the header has the structs %v", all)
	}
	parts := parse(t, "capi.go").Scope.Lookup("Netns").Decl.(*ast.TypeSpec).Type.(*ast.StructType).Fields.List
	var here [][2]string
	for _, field := range parts {
		for _, name := range field.Names {
			here = append(here, [2]string{name.Name, types.ExprString(field.Type)})
		}
	}
	if len(here) != len(there) {
		t.Fatalf("%v, the header has %v", here, there)
	}
	for i, part := range there {
		if !named(here[i][0], part[0]) || inGo[part[1]][0] != here[i][1] {
			t.Errorf("%v, the header has %v", here[i], part)
		}
	}
}

// The types of a C function, without const: of the result, then of each argument.
func prototypes(text string) map[string][]string {
	found := map[string][]string{}
	text = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(text, "")
	for _, match := range regexp.MustCompile(`(?m)^([a-z][\w ]*[ *])(\w+)\(([^()]*)\);`).FindAllStringSubmatch(text, -1) {
		list := []string{match[1]}
		if match[3] != "void" {
			list = append(list, strings.Split(match[3], ",")...)
		}
		for i, each := range list {
			words := strings.Join(strings.Fields(strings.ReplaceAll(each, "const ", "")), " ")
			if i > 0 {
				words = regexp.MustCompile(`\w+$`).ReplaceAllString(words, "")
			}
			list[i] = strings.TrimSpace(words)
		}
		found[match[2]] = list
	}
	return found
}

// The types of a Go function, likewise.
func signature(function *ast.FuncDecl) []string {
	list := []string{""}
	if results := function.Type.Results; results != nil {
		list[0] = types.ExprString(results.List[0].Type)
	}
	for _, field := range function.Type.Params.List {
		for range field.Names {
			list = append(list, types.ExprString(field.Type))
		}
	}
	return list
}

func TestEveryTypeIsThatOfTheHeader(t *testing.T) {
	bytes, err := os.ReadFile(header)
	if err != nil {
		t.Skip("SKIPPED: the header to compare with is only in the repository of the library:", err)
	}
	header := prototypes(string(bytes))
	for _, declaration := range parse(t, "capi.go").Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		for name := range taken("C", function.Body) {
			if expected := header[name]; expected != nil && !same(signature(function), expected) {
				t.Errorf("%s is %v, %s is %v", function.Name.Name, signature(function), name, expected)
			}
		}
	}
}

func same(here, there []string) bool {
	// a slice in Go is a pointer and a size in C
	if len(there) > 2 && there[1] == "int32_t *" && there[2] == "size_t" && here[1] == "[]int32" {
		here, there = append([]string{here[0]}, here[2:]...), append([]string{there[0]}, there[3:]...)
	}
	if len(here) != len(there) {
		return false
	}
	for i, each := range there {
		found := false
		for _, allowed := range inGo[each] {
			found = found || allowed == here[i]
		}
		if !found {
			return false
		}
	}
	return true
}
