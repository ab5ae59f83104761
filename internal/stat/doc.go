// Package stat compares two runs of a measurement and says how sure it is.
//
//	seconds of run A ──▶ []Block ─┐
//	                              ├─▶ Ratio ──▶ Interval ──▶ Judge ──▶ Pass, Worse or CannotTell
//	seconds of run B ──▶ []Block ─┘
//
// Latencies of neighbouring operations go up and down together, so that an
// interval computed from single operations would be far too narrow. The unit
// here is a block of time (usually a second) with the histogram of what ended
// in it, and neighbouring blocks are drawn together.
//
// The package holds no clock and no source of randomness: both come from the
// caller.
package stat
