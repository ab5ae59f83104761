package bench

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// opKind is one kind of operation that a run counts by itself.
type opKind uint8

// Kinds of operations.
const (
	opRead    opKind = iota // all bins
	opExists                // metadata alone
	opInsert                // write in order of the keys, once
	opUpdate                // write, merging bins
	opReplace               // write, dropping other bins
	opRMW                   // read, then write if the generation is still the same
	opTouch                 // new void-time
	opDelete
	nOpKinds
)

var opNames = [nOpKinds]string{"read", "exists", "insert", "update", "replace", "rmw", "touch", "delete"}

// String returns the kind's name.
func (k opKind) String() string { return opNames[k] }

// writes reports whether the kind carries values.
func (k opKind) writes() bool { return k >= opInsert && k <= opRMW }

// mix says which part of the operations is of which kind.
type mix struct {
	kinds  []opKind
	upTo   []uint32 // cumulative share of 2^32
	once   bool     // every key in order, then the run is over
	shares []float64
}

// pick draws a kind.
func (m *mix) pick(r *rng) opKind {
	if len(m.kinds) == 1 {
		return m.kinds[0]
	}
	v := r.Uint32()
	for i, limit := range m.upTo[:len(m.upTo)-1] {
		if v < limit {
			return m.kinds[i]
		}
	}
	return m.kinds[len(m.kinds)-1]
}

// errWorkload says what a workload looks like.
var errWorkload = errors.New("want I, RU,READ%, RR,READ%, RUD,READ%,UPDATE%, DB, or shares such as read=0.8,update=0.15,touch=0.05")

// parseMix reads a workload in asbench's words or as shares by kind:
//
//	I           insert every key once, in order
//	RU,80       80 % reads, the rest updates
//	RR,80       80 % reads, the rest replaces
//	RUD,60,30   60 % reads, 30 % updates, the rest deletes
//	DB          delete every key once, in order
//	read=0.9,rmw=0.1
func parseMix(text string) (*mix, error) {
	words := strings.Split(text, ",")
	bad := func(why error) error { return fmt.Errorf("workload %q: %w", text, why) }
	switch words[0] {
	case "I", "DB":
		if len(words) > 1 {
			return nil, bad(errWorkload)
		}
		kind := map[string]opKind{"I": opInsert, "DB": opDelete}[words[0]]
		m, err := newMix([]opKind{kind}, []float64{1})
		if err == nil {
			m.once = true
		}
		return m, err
	case "RU", "RR", "RUD":
		write := opUpdate
		if words[0] == "RR" {
			write = opReplace
		}
		kinds := []opKind{opRead, write}
		if words[0] == "RUD" {
			kinds = append(kinds, opDelete)
		}
		if len(words) != len(kinds) {
			return nil, bad(errWorkload)
		}
		shares, rest := make([]float64, len(kinds)), 1.0
		for i, w := range words[1:] {
			pct, err := strconv.ParseFloat(strings.TrimSuffix(w, "%"), 64)
			if err != nil || !(pct >= 0 && pct <= 100) {
				return nil, bad(fmt.Errorf("%q: want a percentage from 0 to 100", w))
			}
			shares[i] = pct / 100
			rest -= shares[i]
		}
		shares[len(shares)-1] = max(rest, 0)
		if rest < -1e-9 {
			return nil, bad(errors.New("the percentages are more than 100 together"))
		}
		return newMix(kinds, shares)
	case "RUF":
		return nil, bad(errors.New("UDF calls are not supported"))
	}
	var kinds []opKind
	var shares []float64
	for _, w := range words {
		name, number, ok := strings.Cut(w, "=")
		kind := slices.Index(opNames[:], strings.TrimSpace(name))
		share, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if !ok || kind < 0 || err != nil {
			return nil, bad(errWorkload)
		}
		if slices.Contains(kinds, opKind(kind)) {
			return nil, bad(fmt.Errorf("%s stands twice", name))
		}
		if !(share >= 0 && share <= 1) {
			return nil, bad(fmt.Errorf("%q: want a share from 0 to 1", w))
		}
		kinds, shares = append(kinds, opKind(kind)), append(shares, share)
	}
	m, err := newMix(kinds, shares)
	if err != nil {
		return nil, bad(err)
	}
	return m, nil
}

// newMix makes a mix of shares that are 1 together. Kinds without a share are
// left out.
func newMix(kinds []opKind, shares []float64) (*mix, error) {
	m := &mix{}
	sum := 0.0
	for i, share := range shares {
		if share == 0 {
			continue
		}
		sum += share
		m.kinds, m.shares = append(m.kinds, kinds[i]), append(m.shares, share)
		m.upTo = append(m.upTo, uint32(min(sum*(1<<32), math.MaxUint32)))
	}
	if math.Abs(sum-1) > 1e-6 {
		return nil, fmt.Errorf("the shares are %g together, want 1", sum)
	}
	return m, nil
}
