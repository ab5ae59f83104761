package act

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testLogs returns the logs that ACT 6.6 wrote, by name.
func testLogs(t *testing.T) map[string]*Log {
	t.Helper()
	files, err := filepath.Glob("testdata/logs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no logs", err)
	}
	logs := map[string]*Log{}
	for _, file := range files {
		if strings.HasSuffix(file, ".slices.txt") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		l, err := ParseLog(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		logs[strings.TrimSuffix(filepath.Base(file), ".txt")] = l
	}
	return logs
}

func TestVerdictOfACTLogs(t *testing.T) {
	type row struct{ total, over1, over8, over64 uint64 }
	cases := map[string]struct {
		slice   time.Duration
		outcome Outcome
		rows    []row
		ok      []bool
	}{
		"storage-ms":     {10 * time.Second, Fail, []row{{20000, 1304, 43, 0}, {20000, 605, 6, 0}, {20000, 2945, 262, 0}}, []bool{false, true, false}},
		"storage-us":     {10 * time.Second, Fail, []row{{20000, 3562, 243, 0}, {20000, 3156, 307, 23}, {20000, 5001, 392, 37}}, []bool{false, false, false}},
		"storage-us-4x":  {5 * time.Second, Pass, []row{{40000, 1116, 5, 0}, {40000, 1094, 13, 0}, {40000, 663, 21, 0}, {40000, 639, 17, 0}}, []bool{true, true, true, true}},
		"storage-us-1x":  {5 * time.Second, Fail, []row{{10000, 718, 102, 0}, {10000, 517, 11, 1}, {10000, 970, 74, 0}, {10000, 1173, 104, 0}, {10000, 1240, 32, 0}}, []bool{false, false, false, false, false}},
		"storage-stall":  {20 * time.Second, Fail, []row{{79980, 35123, 1473, 44}, {80020, 29045, 879, 19}, {73946, 6073, 467, 138}}, []bool{false, false, false}},
		"index-ms":       {10 * time.Second, Fail, []row{{49852, 10139, 935, 10}, {50148, 9024, 824, 2}, {50000, 9865, 779, 0}}, []bool{false, false, false}},
		"index-us":       {5 * time.Second, Fail, []row{{79298, 1464, 153, 127}, {107270, 1402, 121, 48}, {113422, 3195, 174, 0}, {100053, 1661, 2, 1}}, []bool{false, true, true, true}},
		"lag-storage-ms": {3 * time.Second, Fail, []row{{300, 299, 86, 14}, {295, 292, 63, 20}, {305, 301, 20, 1}}, []bool{false, false, false}},
		"lag-storage-us": {5 * time.Second, Fail, []row{{80086, 4170, 293, 104}, {46197, 3177, 394, 150}, {96200, 3598, 233, 30}}, []bool{false, false, true}},
		"two-devices":    {4 * time.Second, Pass, []row{{32000, 1400, 138, 3}, {32021, 1182, 145, 0}, {31979, 899, 4, 0}}, []bool{true, true, true}},
	}
	logs := testLogs(t)
	if len(logs) != len(cases) {
		t.Errorf("%d logs, %d cases", len(logs), len(cases))
	}
	for name, c := range cases {
		v, err := JudgeLog(logs[name], "reads", c.slice, DefaultRules())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if v.Outcome != c.outcome || len(v.Slices) != len(c.rows) {
			t.Errorf("%s: %v with %d slices, want %v with %d: %q", name, v.Outcome, len(v.Slices), c.outcome, len(c.rows), v.Reasons)
			continue
		}
		for i, s := range v.Slices {
			if got := (row{s.Total, s.Over[0], s.Over[1], s.Over[2]}); got != c.rows[i] || s.OK != c.ok[i] {
				t.Errorf("%s: slice %d: %v %v, want %v %v", name, i+1, got, s.OK, c.rows[i], c.ok[i])
			}
		}
		if stopped := strings.Contains(strings.Join(v.Reasons, "\n"), "stopped early"); stopped != strings.HasPrefix(name, "lag-") {
			t.Errorf("%s: stopped early: %v: %q", name, stopped, v.Reasons)
		}
	}
}

// passing returns a short log that passes.
func passing(seconds, duration int, tail string) string {
	var b strings.Builder
	b.WriteString("\nACT version 6.6\nStorage device IO test\nx\n\nACT-STORAGE CONFIGURATION\ntest-duration-sec: " + strconv.Itoa(duration) + "\nreport-interval-sec: 1\nmicrosecond-histograms: no\n\nDERIVED CONFIGURATION\na: b\n\nHISTOGRAM NAMES\nreads\n\n")
	for i := 1; i <= seconds; i++ {
		b.WriteString("after " + strconv.Itoa(i) + " sec:\nreads (" + strconv.Itoa(1000*i) + " total)\n (00: " + pad(1000*i) + ")\n\n")
	}
	return b.String() + tail
}

func pad(n int) string { s := "0000000000" + strconv.Itoa(n); return s[len(s)-10:] }

func TestVerdictOutcomes(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Outcome
	}{
		{"pass", passing(4, 4, ""), Pass},
		{"ends too soon", passing(3, 4, ""), Invalid},
		{"broken off within a report", passing(4, 5, "after 5 sec:\nreads (5000 to"), Invalid},
		{"no whole slice", passing(1, 1, ""), Invalid},
		{"errors", passing(4, 4, "ERROR: read failed errno 5 'Input/output error'\n"), Error},
		{"stopped", passing(4, 40, "ERROR: service thread can't keep up\n"), Fail},
		{"exactly at the limit", strings.Replace(passing(2, 2, ""), "(00: 0000002000)", "(00: 0000001900) (01: 0000000100)", 1), Fail},
		{"just below it", strings.Replace(passing(2, 2, ""), "(00: 0000002000)", "(00: 0000001901) (01: 0000000099)", 1), Pass},
	} {
		l, err := ParseLog(strings.NewReader(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		v, err := JudgeLog(l, "reads", 2*time.Second, DefaultRules())
		if err != nil || v.Outcome != c.want {
			t.Errorf("%s: %v %v, want %v: %q", c.name, v.Outcome, err, c.want, v.Reasons)
		}
	}
}

func TestParseLogRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "not a log"},
		{"another version", strings.Replace(passing(1, 1, ""), "6.6", "5.2", 1), "want 6"},
		{"no interval", strings.Replace(passing(1, 1, ""), "report-interval-sec: 1", "report-interval-sec: x", 1), "report-interval-sec"},
		{"time goes back", passing(2, 2, "after 1 sec:\n"), "order of time"},
		{"counts without histogram", passing(1, 1, " (00: 0000000001)\n"), "without a histogram"},
		{"bucket", strings.Replace(passing(1, 1, ""), "(00:", "(77:", 1), "below 65"},
	} {
		if _, err := ParseLog(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(passing(3, 3, "ERROR: x\n"))
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLog(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, h := range l.Histograms {
			if _, err := JudgeLog(l, h, time.Second, DefaultRules()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
