// Package sim is a machine of devices and queues in memory: the door of
// package ioring over a seed, a virtual clock and faults.
//
//	Submit ─▶ in flight ─▶ (virtual time passes) ─▶ effect on the device ─▶ ready ─▶ Poll: Done
//	             │                                        │
//	             │                     visible image ◀────┤ what reads see
//	             │                     cache (un-synced) ◀┤ until DSync, Fsync or destage
//	             │                     durable image ◀────┘ what a power cut leaves
//	             ▼
//	       Crash: each un-synced write and each write in flight is kept, lost or torn
//
// A World is driven by one goroutine. It owns the clock: time passes in Poll,
// up to the next completion, and in Advance; nothing sleeps. Everything that
// is drawn (latencies, faults, what survives a power cut) comes from the
// World's seed in the order of the calls, so the same calls on the same seed
// give the same bytes at the same times. World.Trace is the hash of all of it.
//
// Semantics of a device:
//
//   - A Write is visible to reads at its completion, just before its Done. A
//     Read that overlaps a Write in flight sees, sector by sector, the old or
//     the new.
//   - A Write is durable at its Done with DSync, else at the Done of an Fsync
//     submitted after it, and perhaps earlier: the device's cache has a limit
//     and destages its oldest writes.
//   - A sector of 512 bytes is never torn. Nothing larger is whole by nature.
//   - Fsync covers the writes that were complete when it was submitted.
//
// Like a kernel it answers wrong offsets, lengths and addresses with -EINVAL.
// Unlike one it notices a broken ownership of buffers and panics, because
// that is always a bug of the code under test: a write's buffer must not
// change between Submit and Done, a read's buffer (poisoned at Submit) must
// not be written or shared, an Op must not be submitted twice.
package sim
