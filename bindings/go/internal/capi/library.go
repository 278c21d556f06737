//go:build cgo && linux && !nswatch_command

package capi

// The functions that only the build without cgo needs.

// Interrupt ends a call that waits for the process.
func Interrupt(*Watcher) {}

// Trouble returns why the command could not answer.
func Trouble(rc int) string { return "" }
