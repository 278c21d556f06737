// Prints the documentation of a package of Go as Markdown. The standard library parses it and renders the comments.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/printer"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"strings"
)

var (
	files = token.NewFileSet()
	pkg   *doc.Package
)

func main() {
	dir := os.Args[1]
	found, err := build.ImportDir(dir, 0)
	check(err)
	var parsed []*ast.File
	for _, names := range [][]string{found.GoFiles, found.CgoFiles, found.TestGoFiles, found.XTestGoFiles} {
		for _, name := range names {
			file, err := parser.ParseFile(files, filepath.Join(dir, name), nil, parser.ParseComments)
			check(err)
			parsed = append(parsed, file)
		}
	}
	pkg, err = doc.NewFromFiles(files, parsed, "github.com/nswatch/nswatch/bindings/go")
	check(err)

	fmt.Printf("# Package %s\n\n```go\nimport %q\n```\n\n", pkg.Name, pkg.ImportPath)
	text(pkg.Doc, 2)
	examples(pkg.Examples)
	values("Constants", pkg.Consts)
	values("Variables", pkg.Vars)
	functions(2, pkg.Funcs)
	for _, each := range pkg.Types {
		heading(2, each.Name, "type "+each.Name)
		declaration(each.Decl)
		text(each.Doc, 4)
		examples(each.Examples)
		values("", each.Consts)
		values("", each.Vars)
		functions(3, each.Funcs)
		functions(3, each.Methods)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// heading prints a heading with the anchor of a symbol.
func heading(level int, symbol, title string) {
	fmt.Printf("(%s)=\n%s %s\n\n", anchor(symbol), strings.Repeat("#", level), strings.ReplaceAll(title, "*", `\*`))
}

func anchor(symbol string) string {
	return "go-" + strings.ToLower(strings.ReplaceAll(symbol, ".", "-"))
}

func text(comments string, level int) {
	markdown := pkg.Printer()
	markdown.HeadingLevel = level
	markdown.HeadingID = func(*comment.Heading) string { return "" }
	markdown.DocLinkURL = func(link *comment.DocLink) string {
		if link.ImportPath != "" {
			return link.DefaultURL("https://pkg.go.dev/")
		}
		return "#" + anchor(strings.TrimPrefix(link.Recv+"."+link.Name, "."))
	}
	fmt.Printf("%s\n", markdown.Markdown(pkg.Parser().Parse(comments)))
}

func declaration(node ast.Node) {
	var source bytes.Buffer
	if function, ok := node.(*ast.FuncDecl); ok {
		function.Doc, function.Body = nil, nil
	}
	if general, ok := node.(*ast.GenDecl); ok {
		general.Doc = nil
	}
	check(format.Node(&source, files, node))
	fmt.Printf("```go\n%s\n```\n\n", source.String())
}

func values(title string, all []*doc.Value) {
	if title != "" && len(all) > 0 {
		fmt.Printf("## %s\n\n", title)
	}
	for _, each := range all {
		declaration(each.Decl)
		text(each.Doc, 4)
	}
}

func functions(level int, all []*doc.Func) {
	for _, each := range all {
		receiver, symbol := "", each.Name
		if each.Recv != "" {
			receiver, symbol = "("+each.Recv+") ", strings.TrimPrefix(each.Recv, "*")+"."+each.Name
		}
		heading(level, symbol, "func "+receiver+each.Name)
		declaration(each.Decl)
		text(each.Doc, level+2)
		examples(each.Examples)
	}
}

// examples prints the bodies of examples, without their braces.
func examples(all []*doc.Example) {
	for _, each := range all {
		var source bytes.Buffer
		check(format.Node(&source, files, &printer.CommentedNode{Node: each.Code, Comments: each.Comments}))
		lines := strings.Split(strings.ReplaceAll(source.String(), "\n\t", "\n"), "\n")
		fmt.Printf("Example:\n\n")
		text(each.Doc, 5)
		fmt.Printf("```go\n%s\n```\n\n", strings.Join(lines[1:len(lines)-1], "\n"))
	}
}
