package replay

import (
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ashlardb/ashlar/testbed/testnode"
)

var (
	file    = flag.String("vectors", "../vectors/single.jsonl.gz", "vector file to replay")
	only    = flag.String("sequence", "", "replay only the sequence of this name")
	verbose = flag.Int("show", 20, "how many different answers to show in full")
)

func TestMain(m *testing.M) {
	code := m.Run()
	testnode.CleanUp()
	os.Exit(code)
}

// connections is how many sequences run at once.
const connections = 16

func TestReplay(t *testing.T) {
	all, err := readVectors(*file)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 1000 {
		t.Fatalf("%d sequences in %s: it is not what it was", len(all), *file)
	}
	for _, tt := range []struct{ name, namespaces string }{
		{"device", testnode.Device},
		{"memory", testnode.Memory},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.name == "device" {
				t.Skip("the same answers from a file: not with -short")
			}
			replay(t, all, testnode.Start(t, tt.namespaces))
		})
	}
}

// outcome collects what all players found.
type outcome struct {
	compared atomic.Int64

	mu    sync.Mutex
	wrong []mistake
	used  map[*difference]int
}

type mistake struct {
	sequence, step string
	index          int
	text           string
}

func replay(t *testing.T, all []sequence, n *testnode.Node) {
	o := &outcome{used: map[*difference]int{}}
	work := make(chan *sequence)
	var group sync.WaitGroup
	for range connections {
		group.Go(func() {
			for s := range work {
				o.play(&player{address: n.Address()}, s)
			}
		})
	}
	for i := range all {
		if *only == "" || all[i].Name == *only {
			work <- &all[i]
		}
	}
	close(work)
	group.Wait()
	o.judge(t)
}

// play runs one sequence. After a wrong answer it goes on: the steps behind
// may tell more.
func (o *outcome) play(p *player, s *sequence) {
	defer p.close()
	for i := range s.Steps {
		st := &s.Steps[i]
		if d := omitted(st); d != nil {
			o.use(d)
			continue
		}
		got, err := p.ask(st.Req)
		o.compared.Add(1)
		if err == nil && st.same(got) {
			continue
		}
		if d := deliberate(st, got); err == nil && d != nil {
			o.use(d)
			continue
		}
		o.mu.Lock()
		o.wrong = append(o.wrong, mistake{s.Name, st.Desc, i, describe(st, got, err)})
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (o *outcome) use(d *difference) {
	o.mu.Lock()
	o.used[d]++
	o.mu.Unlock()
}

func describe(s *step, got []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("request %s\n got     %s\n want    %s\n masked  %v",
		short(s.Req), short(got), short(s.Resp), s.Mask)
}

func short(b []byte) string {
	const most = 400
	if len(b) == 0 {
		return "(connection closed)"
	}
	if len(b) <= most {
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%x… (%d bytes)", b[:most], len(b))
}

// judge reports mistakes, grouped by the kind of their sequence, and
// differences that are not needed any more.
func (o *outcome) judge(t *testing.T) {
	t.Logf("%d answers compared, %d wrong", o.compared.Load(), len(o.wrong))
	groups := map[string]int{}
	for i, m := range o.wrong {
		groups[kind(m.sequence)]++
		if i < *verbose {
			t.Errorf("%s, step %d (%s):\n %s", m.sequence, m.index, m.step, m.text)
		}
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		t.Errorf("%s: %d answers wrong", g, groups[g])
	}
	for i := range differences {
		d := &differences[i]
		if o.used[d] == 0 && *only == "" {
			t.Errorf("the deliberate difference %q never occurs", d.reason)
		}
		t.Logf("deliberate: %d answers: %s", o.used[d], d.reason)
	}
}

// kind is a sequence's name without its numbers.
func kind(name string) string { return strings.TrimRight(name, "0123456789-") }

func TestSame(t *testing.T) {
	s := step{Resp: []byte{1, 2, 3, 4, 5}, Mask: [][2]int{{1, 2}, {4, 1}}}
	for _, tt := range []struct {
		name string
		got  []byte
		want bool
	}{
		{"equal", []byte{1, 2, 3, 4, 5}, true},
		{"different where masked", []byte{1, 9, 9, 4, 9}, true},
		{"different before", []byte{0, 2, 3, 4, 5}, false},
		{"different between", []byte{1, 2, 3, 0, 5}, false},
		{"shorter", []byte{1, 2, 3, 4}, false},
		{"closed", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.same(tt.got); got != tt.want {
				t.Errorf("same(%v) = %v, want %v", tt.got, got, tt.want)
			}
		})
	}
}
