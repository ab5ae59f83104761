// Package assert states facts that only a bug of our own can break.
//
// A disk, a peer or a client can never make an assertion fail: what they get
// wrong is an error. Checks that cost a compare use That and are always on;
// dearer ones stand under "if assert.Slow", which the build tags race and
// invariants turn on.
package assert

// That panics with fact when ok is false.
func That(ok bool, fact string) {
	if !ok {
		fail(fact)
	}
}

//go:noinline
func fail(fact string) { panic("BUG: broken invariant: " + fact) }
