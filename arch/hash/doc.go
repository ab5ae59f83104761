// Package hash digests keys and checks what lies on devices.
//
//	one key:    DigestKey ──▶ block (generic or BMI)
//	many keys:  KeyHasher.SumBatch ──▶ by length ──▶ pad ──▶ 8, 16 or 32 lanes at once
//	device:     CRC32C, seeded so that stale and misplaced bytes do not verify
//
// A record's digest is RIPEMD-160 of set name, key type byte and key. Clients
// send it with every ordinary request, so that the node hardly hashes; load
// generators and loaders do it for every operation and use the batches.
//
// Kernels are chosen once, from what the processor has (Impl names them, the
// environment variable ASHLAR_ARCH forces a path). All of them are held to
// blockGeneric by the tests. The assembly and the unrolled Go are written by
// the program in _asm. Nothing here allocates, waits or fails; everything but
// a KeyHasher and the streaming hash is safe for concurrent use.
package hash

//go:generate go run -C _asm . ..
