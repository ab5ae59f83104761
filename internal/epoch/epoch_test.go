package epoch

import "testing"

func TestSafe(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(d *Domain, r *Reader) uint64
		safe bool
	}{
		{"no reader inside", func(d *Domain, _ *Reader) uint64 { return d.Retire() }, true},
		{"reader entered before", func(d *Domain, r *Reader) uint64 { r.Enter(); return d.Retire() }, false},
		{"reader entered after", func(d *Domain, r *Reader) uint64 { s := d.Retire(); r.Enter(); return s }, true},
		{"reader left", func(d *Domain, r *Reader) uint64 { r.Enter(); s := d.Retire(); r.Exit(); return s }, true},
		{"inner exit keeps it", func(d *Domain, r *Reader) uint64 {
			r.Enter()
			r.Enter()
			s := d.Retire()
			r.Exit()
			return s
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Domain
			d.Register()
			r := d.Register()
			if got := d.Safe(tt.run(&d, r)); got != tt.safe {
				t.Errorf("Safe = %v, want %v", got, tt.safe)
			}
		})
	}
}

func TestUnregister(t *testing.T) {
	var d Domain
	r := d.Register()
	r.Enter()
	s := d.Retire()
	r.Exit()
	d.Unregister(r)
	if !d.Safe(s) {
		t.Error("a reader that left the domain still holds it back")
	}
}
