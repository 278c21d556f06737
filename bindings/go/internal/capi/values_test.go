package capi_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// The build without cgo has copies of the constants.
func TestTheValuesAreThoseOfTheHeader(t *testing.T) {
	text, err := os.ReadFile(header)
	if err != nil {
		t.Skip("SKIPPED: the header to compare with is only in the repository of the library:", err)
	}
	values := map[string]int64{}
	for _, declaration := range parse(t, "values.go").Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			number, err := strconv.ParseInt(types.ExprString(value.Values[0]), 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			values[value.Names[0].Name] = number
		}
	}
	defined := regexp.MustCompile(`(?m)^#define (NSW_\w+|NSID_\w+) \(?(-?\d+)\)?$`).FindAllStringSubmatch(string(text), -1)
	if len(defined) < 40 {
		t.Fatal("only these constants are found in the header:", defined)
	}
	for _, match := range defined {
		found := false
		for name, value := range values {
			if named(name, match[1]) {
				found = true
				if strconv.FormatInt(value, 10) != match[2] {
					t.Errorf("%s is %d, %s is %s", name, value, match[1], match[2])
				}
				delete(values, name)
			}
		}
		if !found {
			t.Errorf("%s is not in values.go", match[1])
		}
	}
	for name := range values {
		t.Errorf("%s is not in the header", name)
	}
}
