// Package storage keeps records on devices or in memory, log-structured, in
// wblocks.
//
// A write flows:
//
//	Reserve, Seal ─▶ current swb of lane, device and kind
//	                   │ a flush unit is full, the flush age is reached,
//	                   │ or a Commit waits
//	                   ▼
//	                 ioring.Write (DSYNC), at most two a lane and device
//	                   │ the whole wblock is on the device
//	                   ▼
//	                 post-write cache ─▶ evicted: the wblock is on the device only
//
// A read flows the other way and stops at the first holder of the wblock:
//
//	View ─▶ current swb or post-write cache      (the caller is in its epoch)
//	Read ─▶ ioring.Read of exactly the record's blocks ─▶ checksum, digest, size
//
// A wblock lives:
//
//	FREE ─▶ RESERVED ─▶ USED ─▶ DEFRAG ─▶ EMPTYING ─▶ FREE
//	        has a swb,   │      below       nothing left to move; waits until
//	        or is in the │      defrag-lwm  nothing is live in it, no reader
//	        cache        └──────────────▶   sees it, and all that replaced its
//	                        nothing live    records is on the device
//
// While a device has room, a wblock in the post-write cache is young and left
// alone; what it holds may die before defrag would have to move it.
//
// The package knows wblocks, not keys. Whether a record is still live is the
// index's business: package engine joins the two when it writes (Free of the
// old address), at cold start (Load, Account, LoadDone) and in defrag (Victim,
// ReadVictim, ReleaseVictim). Nothing here starts a goroutine or looks at a
// clock: a service loop calls its Lane, and the Lane's I/O completes in the
// Poll of the loop's Queue.
//
// # Threads
//
// A Lane belongs to the thread of its Queue. Everything of Store may be called
// from any thread unless it says otherwise. The only locks are one a device,
// taken when a wblock changes its state and never over I/O, and one for the
// pool of buffers.
//
// The layout on the device, and why a crash cannot make it lie, is described
// in docs/device-format.md.
package storage
