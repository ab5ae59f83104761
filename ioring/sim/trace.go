package sim

import (
	"fmt"
	"hash/crc32"

	"github.com/ashlardb/ashlar/ioring"
)

// trace is a running hash (FNV-1a over 64-bit words) of what has happened.
type trace uint64

const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

func (t *trace) add(words ...uint64) {
	h := uint64(*t) ^ fnvOffset
	for _, v := range words {
		h = (h ^ v) * fnvPrime
		h ^= h >> 29
	}
	*t = trace(h)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noteCompletion adds an operation that has taken effect.
func (w *World) noteCompletion(f *flight) {
	device := uint64(0)
	if f.dev != nil {
		device = uint64(f.dev.number) + 1
	}
	sum := crc32.Checksum(f.data, castagnoli)
	w.trace.add(uint64(f.op.Kind), device, uint64(f.off), uint64(f.n),
		uint64(w.now), uint64(uint32(f.result)), uint64(sum))
	if w.Log == nil {
		return
	}
	sync := ""
	if f.op.Flags&ioring.DSync != 0 {
		sync = " dsync"
	}
	fmt.Fprintf(w.Log, "%12v %v%s = %d, data %08x\n", w.now, f, sync, f.result, sum)
}

// note adds an event that is not a completion.
func (w *World) note(event string) {
	w.trace.add(uint64(crc32.ChecksumIEEE([]byte(event))), uint64(w.now))
	if w.Log != nil {
		fmt.Fprintf(w.Log, "%12v %s\n", w.now, event)
	}
}
