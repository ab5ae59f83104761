// Package index is the primary index of one namespace: for each digest, where
// the record lies and what is decided without reading it.
//
//	Get(digest) ─▶ partition, sprig ─▶ sprig header ─▶ slot ─▶ entry (a copy)
//	                digest's bits       16 B            8 B     64 B
//
// # Structure
//
// Each of the 4096 partitions has the same number of sprigs (a power of two).
// A sprig is a sorted array of 8-byte slots; a slot holds the next 24 bits of
// the digest and the 40-bit handle of a 64-byte entry. Digests are uniform, so
// the place of a slot is computed (interpolation) and found within a line; a
// digest that a client made up costs a binary search. Everything is in the
// order of the digests' bytes: within a partition the sprigs, in a sprig the
// slots. Scans, migration and backup stand on that (Reduce, largest first).
//
//	digest   |pppppppp|sssspppp|ssssoooo|oooooooo|oooooooo|oooo....|........
//	byte      0        1        2        3        4        5        6
//	          p partition (12 bits)   s sprig (8 bits: 256 sprigs, the default)
//	          o order bits in the slot (24)   . decided by the entry's digest
//
//	header   block of slots (40 bits) + number of records (24)
//	         version and lock (32)    + shape of the block (32)
//
// A sprig of more than 1024 records (only digests that somebody chose, or far
// too few sprigs, make one) turns its one leaf into a directory of leaves, so
// that an insert moves at most 8 KiB whatever the number of records.
//
// # Memory
//
// All of it is one mapped region outside the Go heap, invisible to the
// collector and free of pointers: places are counted in 64-byte lines from its
// start, so a region in a file or in /dev/shm could be attached elsewhere.
//
//	| superblock: pool, shards, counts | sprig headers | slab | slab | slab ...
//
// Slabs of 64 KiB are dealt to one size class each: entries (one line), or
// blocks of slots of so many lines. A slab without a block in use returns to
// the pool and may serve another class. The region is reserved as address
// space, made accessible in stages and touched ahead of use by a goroutine of
// the index, so that writers rarely meet the kernel's page zeroing.
//
// # Concurrency
//
// Readers take no lock: they read the sprig's version (even), copy the entry,
// and start again if the version has changed. Writers of one sprig exclude each
// other by making the version odd. Memory that was freed may be read by a late
// reader, whose version check then fails; so it is never unmapped before Close.
// All methods but Close may be called from any number of threads.
//
// The package knows digests and addresses, not records, devices or time.
// Package engine joins it with storage.
package index
