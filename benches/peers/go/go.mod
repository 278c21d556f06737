module peers

go 1.26.0

require (
	github.com/fsnotify/fsnotify v1.10.1
	github.com/nswatch/nswatch/bindings/go v0.0.0
)

require golang.org/x/sys v0.50.0

replace github.com/nswatch/nswatch/bindings/go => ../../../bindings/go
