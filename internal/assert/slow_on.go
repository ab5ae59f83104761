//go:build race || invariants

package assert

// Slow says whether checks dearer than a compare run in this build.
const Slow = true
