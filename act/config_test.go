package act

import (
	"math"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, m Model, text string) Config {
	t.Helper()
	c, _, err := ParseConfig(strings.NewReader(text), m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigOfACTIsReadUnchanged(t *testing.T) {
	c := parse(t, Storage, `
# a comment
device-names: /dev/a,/dev/b;/dev/c   # and another
device-names /dev/d
test-duration-sec: 86400
read-reqs-per-sec: 2000
read-reqs-per-sec: 8000
write-reqs-per-sec	4000
record-bytes: 1500
record-bytes-range-max: 3000
microsecond-histograms: yes
tomb-raider-sleep-usec: 1000
`)
	if got := strings.Join(c.Devices, " "); got != "/dev/a /dev/b /dev/c /dev/d" {
		t.Errorf("devices %s", got)
	}
	if c.ReadRate != 8000 || c.WriteRate != 4000 || c.Duration != 24*time.Hour || !c.Microseconds || c.TombRaiderSleep != time.Millisecond {
		t.Errorf("read %+v", c)
	}
	if c.LargeBlock != 128<<10 || c.DefragLWM != 50 || c.MaxLag != 10*time.Second || c.CompressPct != 100 {
		t.Errorf("defaults are not ACT's: %+v", c)
	}
}

func TestConfigReportsAllMistakesWithTheirLines(t *testing.T) {
	_, _, err := ParseConfig(strings.NewReader("read-reqs-per-sec: 2k\nnonsense: 1\nupdate-pct: -5\ncommit-to-device: maybe\nrecord-bytes:\ncache-threads: 3\n"), Storage)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`line 1: read-reqs-per-sec: "2k"`, `line 2: "nonsense"`, `line 3: update-pct: "-5"`, `line 4: commit-to-device: "maybe"`, "line 5: record-bytes has no value", `line 6: "cache-threads"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
}

func TestConfigWarns(t *testing.T) {
	for name := range removedKeys {
		_, warnings, err := ParseConfig(strings.NewReader(name+": 4\ndevice-names: a\nread-reqs-per-sec: 1\ntest-duration-sec: 1\n"), Storage)
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], name) {
			t.Errorf("%s: %v, warnings %q", name, err, warnings)
		}
	}
	c, warnings, err := ParseConfig(strings.NewReader("device-names: a\nread-reqs-per-sec: 1\ntest-duration-sec: 1\ntomb-raider: Yes\n"), Storage)
	if err != nil || !c.TombRaider || len(warnings) != 1 || !strings.Contains(warnings[0], "ACT 6 reads it as no") {
		t.Errorf("Yes: %v %v %q", c.TombRaider, err, warnings)
	}
}

func TestConfigRefuses(t *testing.T) {
	base := "device-names: a\nread-reqs-per-sec: 100\nwrite-reqs-per-sec: 10\ntest-duration-sec: 1\n"
	for _, c := range []struct{ name, text, want string }{
		{"no duration", "device-names: a\nread-reqs-per-sec: 1\n", "test-duration-sec is missing"},
		{"no load", "device-names: a\ntest-duration-sec: 1\n", "both 0"},
		{"no device", "read-reqs-per-sec: 1\ntest-duration-sec: 1\n", "0 devices"},
		{"device twice", base + "device-names: a\n", "named twice"},
		{"range", base + "record-bytes-range-max: 100\n", "record-bytes-range-max 100"},
		{"large block of 0", base + "large-block-op-kbytes: 0\n", `"0": want a whole number from 1`},
		{"large block odd", base + "large-block-op-kbytes: 100\n", "power of two"},
		{"record over block", base + "record-bytes: 262144\n", "do not fit in large blocks"},
		{"commit without dsync", base + "commit-to-device: yes\ndisable-odsync: yes\n", "exclude each other"},
		{"seventeen index devices", "", "17 devices"},
	} {
		m := Storage
		if c.text == "" {
			m = Index
			c.text = "device-names: a b c d e f g h i j k l m n o p q\nread-reqs-per-sec: 1\ntest-duration-sec: 1\n"
		}
		if _, _, err := ParseConfig(strings.NewReader(c.text), m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func about(a, b float64) bool { return math.Abs(a-b) < 0.01*math.Max(1, math.Abs(b))/2 }

func TestRates(t *testing.T) {
	base := "device-names: a\ntest-duration-sec: 1\nread-reqs-per-sec: 2000\nwrite-reqs-per-sec: 1000\n"
	for _, c := range []struct {
		name, text                   string
		exact                        bool
		reads, writes, large, largeW float64
	}{
		{"classic 1x", base, false, 2000, 0, 23.529, 23.529},
		{"record 1500", base + "record-bytes: 1500\n", false, 2000, 0, 22.99, 22.99},
		{"record 1500 exact", base + "record-bytes: 1500\n", true, 2000, 0, 22.949, 22.949},
		{"updates and replicas", base + "update-pct: 33\nreplication-factor: 2\n", false, 2330, 0, 47.06, 47.06},
		{"lwm 60", base + "defrag-lwm-pct: 60\n", false, 2000, 0, 29.41, 29.41},
		{"no defrag reads", base + "no-defrag-reads: y\n", false, 2000, 0, 0, 23.529},
		{"commit", base + "commit-to-device: y\n", false, 2000, 1000, 23.529, 11.765},
		{"commit, lwm 0", base + "commit-to-device: y\ndefrag-lwm-pct: 0\n", false, 2000, 1000, 11.765, 0},
	} {
		cfg := parse(t, Storage, c.text)
		cfg.ExactBlocks = c.exact
		r := cfg.Rates()
		if !about(r.Reads.Float(), c.reads) || !about(r.Writes.Float(), c.writes) || !about(r.LargeReads.Float(), c.large) || !about(r.LargeWrites.Float(), c.largeW) {
			t.Errorf("%s: %v %v %v %v, want %v %v %v %v", c.name, r.Reads, r.Writes, r.LargeReads, r.LargeWrites, c.reads, c.writes, c.large, c.largeW)
		}
	}
	index := parse(t, Index, base)
	if r := index.Rates(); r.ServiceReads != 3000 || r.CacheReads != 2000 || r.Reads.Float() != 5000 || r.Writes.Float() != 2000 {
		t.Errorf("index: %+v", r)
	}
}

func TestRatesOfACTLogs(t *testing.T) {
	// What ACT itself printed as derived is what we derive.
	for name, l := range testLogs(t) {
		if l.Model != Storage || name == "lag-storage-ms" { // its large-block rate is "inf", which we refuse
			continue
		}
		var b strings.Builder
		for k, v := range l.Config {
			if k != "num-devices" {
				b.WriteString(k + ": " + v + "\n")
			}
		}
		c, _, err := ParseConfig(strings.NewReader(b.String()), Storage)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := c.Rates()
		if got, want := r.LargeReads.String(), l.Derived["large-block-reads-per-sec"]; got != want {
			t.Errorf("%s: large-block reads %s, want %s", name, got, want)
		}
		if got, want := r.LargeWrites.String(), l.Derived["large-block-writes-per-sec"]; got != want {
			t.Errorf("%s: large-block writes %s, want %s", name, got, want)
		}
	}
}

func TestPresets(t *testing.T) {
	for _, p := range Presets {
		c, err := p.Config(4, "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		c.Duration = time.Second
		if err := c.Validate(); err != nil || c.ReadRate != 16000 || c.WriteRate != 8000 {
			t.Errorf("%s: %v, %d reads, %d writes", p.Name, err, c.ReadRate, c.WriteRate)
		}
	}
	if _, err := FindPreset("x"); err == nil {
		t.Error("found a preset that is none")
	}
	c, _ := Presets[0].Config(30, "a")
	if tb := c.WrittenPerDay() / 1e12; !about(tb, 8.0) {
		t.Errorf("30x writes %.2f TB a day, want 8.0", tb)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("device-names: a\nread-reqs-per-sec: 1\ntest-duration-sec: 1\n")
	f.Add("record-bytes 9\n#x\n:::\nupdate-pct:: 4")
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := ParseConfig(strings.NewReader(text), Storage)
		if err == nil {
			c.Rates() // must not divide by zero
		}
	})
}
