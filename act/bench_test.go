package act

import (
	"testing"
	"time"

	"github.com/ashlardb/ashlar/ioring"
)

// BenchmarkLoop is the engine's own cost of an operation: schedule, place,
// fill, submit, record. The queue answers at once. What verifying adds is
// BenchmarkVerify.
func BenchmarkLoop(b *testing.B) {
	c, err := Presets[0].Config(30, "a")
	if err != nil {
		b.Fatal(err)
	}
	c.Duration = 1000 * time.Hour
	o := Options{Config: c, Seed: 1, NoVerify: true}
	o.setDefaults()
	d := &ioring.Device{Path: "a", Size: 64 << 20, Block: 512}
	one, err := newTarget(d, 0, &o.Config, nil)
	if err != nil {
		b.Fatal(err)
	}
	var now time.Duration
	run := newRun(o, []*target{one}, 1, func() time.Duration { return now })
	l := run.loops[0]
	if err := l.open(&echo{Queue: attached{}}); err != nil {
		b.Fatal(err)
	}
	operations := l.rec.issued.Load
	start := operations()
	b.ResetTimer()
	for operations()-start < uint64(b.N) {
		now += 100 * time.Microsecond
		if _, err := l.turn(); err != nil {
			b.Fatal(err)
		}
	}
}

// attached takes devices and memory as they are.
type attached struct{ ioring.Queue }

func (attached) Attach(*ioring.Device) (ioring.File, error) { return ioring.DeviceFile(3, 0), nil }
func (attached) Register(*ioring.Arena) error               { return nil }

// BenchmarkVerify checks one record, and one block.
func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"record", 1536}, {"block", 128 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			buf := make([]byte, c.size)
			newFiller(100, 1).fill(buf, 4096, 1, newRNG(1, 1))
			b.SetBytes(int64(c.size))
			for b.Loop() {
				if verify(buf, 4096) != checkGood {
					b.Fatal("wrong")
				}
			}
		})
	}
}
