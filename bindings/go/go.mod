module github.com/nswatch/nswatch/bindings/go

go 1.19
