module github.com/nswatch/nswatch/examples/netlink

go 1.19

require (
	github.com/nswatch/nswatch/bindings/go v0.0.0
	github.com/vishvananda/netlink v1.3.1
	golang.org/x/sys v0.10.0
)

require github.com/vishvananda/netns v0.0.5 // indirect

replace github.com/nswatch/nswatch/bindings/go => ../../bindings/go
