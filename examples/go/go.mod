module github.com/nswatch/nswatch/examples/go

go 1.19

require github.com/nswatch/nswatch/bindings/go v0.0.0

replace github.com/nswatch/nswatch/bindings/go => ../../bindings/go
