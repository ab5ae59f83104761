package crash

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v8"
	"github.com/aerospike/aerospike-client-go/v8/types"
)

// TestKill kills the node at random moments under writes and deletes, or stops
// it in order.
//
// With commit-to-device, and after an orderly stop, nothing that was
// acknowledged may be missing. Without it what was acknowledged before the last
// flush-max-ms must be there. In no case may anything old come back, or
// anything be there that was never written.
func TestKill(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings settings
		// allowance is how old an acknowledged write must be to be there for
		// certain: flush-max-ms, and time for a machine that is busy.
		allowance time.Duration
		orderly   bool // SIGTERM instead of SIGKILL
	}{
		{"commit", settings{commit: true, flushMax: time.Second}, 0, false},
		{"flush", settings{flushMax: 20 * time.Millisecond}, 200 * time.Millisecond, false},
		{"stop", settings{flushMax: time.Second}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rounds := *roundsFlag
			if tt.orderly {
				rounds = (rounds + 2) / 3
			}
			if testing.Short() {
				rounds = min(rounds, 3)
			}
			seed := *seedFlag
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("replay: go test ./testbed/crash -run '^%s$' -rounds %d -seed %d", t.Name(), rounds, seed)
			k := &killing{
				t: t, conf: configure(t, dataDir(t), tt.settings), allowance: tt.allowance, orderly: tt.orderly,
				rng: rand.New(rand.NewPCG(seed, 0)), records: make([]history, nWriters*keysEach),
			}
			for i := range k.records {
				k.records[i].states = []state{{}} // it has never been there
			}
			acknowledged, lost := 0, 0
			for range rounds {
				acknowledged += k.round()
				lost += k.lost
				if t.Failed() {
					return
				}
			}
			t.Logf("%d times, %d writes acknowledged, %d of them not there afterwards", rounds, acknowledged, lost)
			if acknowledged < rounds {
				t.Errorf("%d writes in %d rounds: too few to say anything", acknowledged, rounds)
			}
		})
	}
}

const (
	nWriters = 8
	keysEach = 40
)

// state is what a record was at one time: absent, or of a version.
type state struct {
	version      int // counts the writes of this key; 0 for never
	present      bool
	acknowledged time.Time // zero while it is not
}

// history is what may be there of one record: states in the order of their
// writes. Only the last may not be acknowledged.
type history struct {
	states []state
	tried  int // newest version ever sent: one that was lost is not used again
}

type killing struct {
	t         *testing.T
	conf      string
	allowance time.Duration
	orderly   bool
	rng       *rand.Rand
	records   []history

	acknowledged atomic.Int64 // in this round
	lost         int          // of them, not there after the crash
}

// round starts the node, compares it with what is known, writes until its end,
// and returns how many writes were acknowledged.
func (k *killing) round() int {
	p := start(k.t, k.conf)
	c := p.connect()
	k.compare(c)
	k.acknowledged.Store(0)

	var wg sync.WaitGroup
	for w := range nWriters {
		rng := rand.New(rand.NewPCG(k.rng.Uint64(), 0))
		wg.Go(func() { k.write(c, w, rng) })
	}
	time.Sleep(time.Duration(50+k.rng.IntN(700)) * time.Millisecond) // the moment of the crash
	killed := time.Now()
	if k.orderly {
		p.stop()
	} else {
		p.kill()
	}
	wg.Wait()
	c.Close()

	p = start(k.t, k.conf)
	c = p.connect()
	k.check(c, killed)
	c.Close()
	if k.rng.IntN(2) == 0 {
		p.kill() // a crash after nothing was written
	} else {
		p.stop()
	}
	return int(k.acknowledged.Load())
}

// write writes and deletes the keys of one writer until the node is gone.
func (k *killing) write(c *as.Client, writer int, rng *rand.Rand) {
	for {
		i := writer*keysEach + rng.IntN(keysEach)
		h := &k.records[i]
		h.tried++
		next := state{version: h.tried, present: rng.IntN(6) != 0}
		h.states = append(h.states, next)
		var err error
		if next.present {
			policy := as.NewWritePolicy(0, 0)
			policy.MaxRetries = 0
			policy.RecordExistsAction = as.REPLACE
			if e := c.Put(policy, key(k.t, fmt.Sprint(i)), bins(i, next.version)); e != nil {
				err = e
			}
		} else if _, e := c.Delete(nil, key(k.t, fmt.Sprint(i))); e != nil {
			err = e
		}
		if err != nil {
			return // it may have happened or not
		}
		h.states[len(h.states)-1].acknowledged = time.Now()
		k.acknowledged.Add(1)
	}
}

// bins are the contents of a version of a record.
func bins(i, version int) as.BinMap {
	return as.BinMap{"key": i, "version": version, "fill": strings.Repeat(fmt.Sprintf("%d-%d ", i, version), version*i%97)}
}

// check compares every record with what may be there after a crash at killed,
// and takes what is there for what is known from now on.
func (k *killing) check(c *as.Client, killed time.Time) {
	k.t.Helper()
	k.lost = 0
	for i := range k.records {
		h := &k.records[i]
		version, present := k.read(c, i)
		found := -1
		for s := range h.states {
			// An absent record does not say which delete it was: take the last.
			if h.states[s].present == present && (!present || h.states[s].version == version) {
				found = s
			}
		}
		least := 0 // the newest state that must have been kept
		for s := range h.states {
			if at := h.states[s].acknowledged; !at.IsZero() && !at.After(killed.Add(-k.allowance)) {
				least = s
			}
		}
		if k.allowance == 0 { // everything acknowledged, in the instant of the crash too
			for s := range h.states {
				if !h.states[s].acknowledged.IsZero() {
					least = s
				}
			}
		}
		if found < least {
			k.t.Errorf("record %d: present %v, version %d; want one of %+v", i, present, version, h.states[least:])
			continue
		}
		for _, s := range h.states[found+1:] {
			if !s.acknowledged.IsZero() {
				k.lost++
			}
		}
		kept := h.states[found]
		kept.acknowledged = killed
		h.states = []state{kept}
	}
}

// compare checks that a node that was stopped or killed while nobody wrote
// has what is known.
func (k *killing) compare(c *as.Client) {
	k.t.Helper()
	for i := range k.records {
		h := &k.records[i]
		version, present := k.read(c, i)
		want := h.states[len(h.states)-1]
		if present != want.present || present && version != want.version {
			k.t.Errorf("record %d after a restart: present %v, version %d, want %+v", i, present, version, want)
		}
	}
}

// read returns the version of a record, whose contents must be that version's.
func (k *killing) read(c *as.Client, i int) (version int, present bool) {
	k.t.Helper()
	rec, err := c.Get(nil, key(k.t, fmt.Sprint(i)))
	if err != nil {
		if !err.Matches(types.KEY_NOT_FOUND_ERROR) {
			k.t.Errorf("record %d: %v", i, err)
		}
		return 0, false
	}
	version, _ = rec.Bins["version"].(int)
	want := bins(i, version)
	for name := range want {
		if rec.Bins[name] != want[name] {
			k.t.Errorf("record %d, version %d: bin %s is %v, want %v", i, version, name, rec.Bins[name], want[name])
		}
	}
	return version, true
}
