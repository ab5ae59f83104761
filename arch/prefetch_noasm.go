//go:build (!amd64 && !arm64) || purego

package arch

import "unsafe"

// Prefetch does nothing on this machine.
func Prefetch(unsafe.Pointer) {}

// Pause does nothing on this machine.
func Pause() {}
