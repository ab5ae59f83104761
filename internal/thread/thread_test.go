package thread

import "testing"

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		line string
		ns   int64
		ok   bool
	}{
		{"5948151 45994692 4\n", 45994692, true},
		{"0 0 0", 0, true},
		{"1", 0, false},
		{"", 0, false},
		{"1 x 2", 0, false},
	} {
		if ns, ok := parse([]byte(tt.line)); ns != tt.ns || ok != tt.ok {
			t.Errorf("parse(%q) = %d, %v; want %d, %v", tt.line, ns, ok, tt.ns, tt.ok)
		}
	}
}

func TestRunDelay(t *testing.T) {
	first, ok := RunDelay()
	if !ok {
		t.Skip("this kernel does not count the time that threads wait for a CPU")
	}
	if first < 0 {
		t.Errorf("waited %d ns", first)
	}
}
