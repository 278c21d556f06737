//go:build cgo && linux && !nswatch_command

package capi

// What the build without cgo needs besides, and the library does not.

// Interrupt ends a call that waits for the other process.
func Interrupt(*Watcher) {}

// Trouble is why a result says nothing about what was asked: there is nobody to ask.
func Trouble(rc int) string { return "" }
