// Package engine is one namespace: records in, records out.
//
//	node/txn ─▶ Worker.Read / Write ─▶ index.Get ─▶ where is it, what is decided
//	                 │                               without reading it
//	                 ├▶ storage.View / Read ─▶ old record (flat form, a view)
//	                 ├▶ exp (filter), particle and cdt (operations) ─▶ new bins
//	                 ├▶ storage.Reserve ─▶ flat form is made in place ─▶ Seal
//	                 ├▶ index.Put ─▶ storage.Free of what was replaced
//	                 └▶ Request.Done, at once or after the commit
//
// A Namespace joins the two halves that do not know each other: package index
// (digest to address) and package storage (address to bytes). What needs both
// is here: cold start (coldstart.go), defrag (defrag.go), expiry (nsup.go) and
// the consistency check (check.go).
//
// # Threads
//
// Each service loop has its own Worker with its own storage lane, scratch
// memory and counters. A Request that waits for a device is parked: its state
// is in the Request, nothing blocks, and the loop's Queue calls it on. Reads
// take no lock: they look the address up, read what lies there and compare it
// with what the index said; when defrag has moved the record meanwhile they
// look again. Writes of one digest must not overlap; the caller sees to that
// (txn's queue of each key). Defrag and expiry need no turn: they change the
// index only where it still says what they saw.
//
// # What an index entry stands for
//
// In a namespace on devices every digest of which any readable copy lies on a
// device has an entry: the newest copy, which may be a tombstone. An entry may
// only be dropped when no older copy can exist (its flag says whether one
// may), else that copy would come back at the next cold start. So deletes
// leave tombstones, which count as absent everywhere, and a cold start drops
// those that it found nothing older than. A namespace in memory has no
// tombstones.
//
// The last-update-time orders the copies of one digest, then the generation.
// It never goes backwards, and it moves on where the generation starts anew.
//
// # Durability
//
// A write is in the index, and seen by reads, before it is on the device. With
// commit-to-device its answer waits until it is there; without, a crash loses
// at most what is younger than flush-max-ms. Storage keeps the replaced copy
// until the new one is on the device, so that one of them survives.
//
// # Deliberate differences from the original
//
// Deletes and updates that leave no bins accept the durable-delete flag (every
// delete is durable here). commit-to-device is for everyone. Writes are refused
// within a second of a stop-writes limit, not within ten. A record that cannot
// be read back is an error (1), never an answer.
//
// Not offered yet: expression operations (7 and 8), which end with Unsupported
// (16), and what package exp does not compile.
//
// The package knows neither sockets nor clocks: the time is in each Request.
package engine
