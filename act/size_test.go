package act

import (
	"strings"
	"testing"
)

func testPlan() Plan {
	return Plan{Objects: 1e9, SetBytes: 5, Bins: 1, BinName: 1, ValueBytes: 100, Reads: 100_000, Writes: 50_000, Replication: 2, DefragLWM: 50, Fill: 0.5,
		Nodes: 3, Spare: 1, DriveBytes: 1.92e12, RatingX: 30, Headroom: 0.7, DWPD: 1}
}

func TestSize(t *testing.T) {
	s, err := testPlan().Size()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"record", float64(s.RecordBytes), 160},              // the worked example
		{"data", s.DataBytes, 320e9},                         // 160 x 2 x 1e9
		{"devices", s.DeviceBytes, 960e9},                    // half full, and a node may fail: x 2 x 3/2
		{"index", s.IndexBytes, 3 * 60 * (1 << 30)},          // 64 x 2e9 / 2 nodes = 59.6 stages of 1 GiB
		{"amplification", s.Amplification, 2},                //
		{"written", s.DeviceWritten, 50_000 * 2 * 160 * 2},   //
		{"for rate", float64(s.DrivesRate), 4},               // 100000/2000 x 3/2 = 75x of 21x
		{"drives", float64(s.Drives), 6},                     // two on each node
		{"dwpd", s.DWPDNeeded, 32e6 * 86400 / 6 / 1.92e12},   //
		{"years", s.Years, 5 / (32e6 * 86400 / 6 / 1.92e12)}, // of 5 at one drive write a day
	} {
		if c.got < c.want*0.9999 || c.got > c.want*1.0001 {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	if s.Bound != "rate" {
		t.Errorf("bound by %s", s.Bound)
	}
	var b strings.Builder
	if err := s.WriteText(&b); err != nil || !strings.Contains(b.String(), "6: 2 on each of 3 nodes, bound by rate") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestSizeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"objects": func(p *Plan) { p.Objects = 0 }, "defrag-lwm-pct": func(p *Plan) { p.DefragLWM = 100 }, "fill": func(p *Plan) { p.Fill = 0 },
		"copies": func(p *Plan) { p.Replication = 3 }, "rating": func(p *Plan) { p.RatingX = 0 },
	} {
		p := testPlan()
		change(&p)
		if _, err := p.Size(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
