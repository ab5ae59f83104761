package epoch

import (
	"strconv"
	"testing"
)

func BenchmarkEnterExit(b *testing.B) {
	for _, others := range []int{0, 63} {
		b.Run(strconv.Itoa(others)+"-other-readers", func(b *testing.B) {
			var d Domain
			for range others {
				d.Register()
			}
			r := d.Register()
			for b.Loop() {
				r.Enter()
				r.Exit()
			}
		})
	}
}
