// Package arch is the machine below the language: what a program must know of
// the processor and the compiler does not offer.
//
//	Prefetch(p)   start loading a line that will be needed soon
//	Pause()       one step of a spin-wait, kind to the other hardware thread
//	CacheLine     the unit in which cores exchange memory
//
// amd64 and arm64 have assembly; other machines, and builds with the tag
// purego, get functions that do nothing and are just as correct. Kernels for
// digests and checksums are in arch/hash, the topology of nodes and CPUs in
// arch/numa.
package arch

// CacheLine is the size in bytes of the unit in which cores exchange memory.
// What two threads write lies in two of them. 64 holds for amd64 and for the
// arm64 server cores (Neoverse); some arm64 desktop cores use 128, where two
// neighbours may share a line at the cost of speed only.
const CacheLine = 64
