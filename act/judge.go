package act

import (
	"fmt"
	"time"
)

// Limits beyond which a run says nothing about the drive, or enough.
const (
	maxLateShare = 0.01  // of the operations submitted late by the generator
	minDelivered = 0.999 // of the rate that was asked for
	// budgetSlack allows for slices in which more operations come back than
	// are due, so that no run is failed before its time by mistake.
	budgetSlack = 1.02
	// minJudged is how many operations must have been issued before lateness
	// ends a run.
	minJudged = 10_000
)

// Reason is one ground for an outcome.
type Reason struct {
	Outcome Outcome `json:"outcome"`
	Code    string  `json:"code"`
	Text    string  `json:"text"`
}

// judge returns the outcome by what is known now. Before the end only what
// can't be made good again counts.
func (w *watch) judge(final bool) (Outcome, []Reason) {
	j := judgement{w: w, final: final}
	j.errors()
	j.host()
	j.slices()
	if final {
		j.delivery()
		j.end()
		j.reasons = append(j.reasons, w.around...)
	}
	outcome := Pass
	for _, r := range j.reasons {
		outcome = max(outcome, r.Outcome)
	}
	return outcome, j.reasons
}

type judgement struct {
	w       *watch
	final   bool
	reasons []Reason
}

func (j *judgement) say(o Outcome, code, format string, args ...any) {
	j.reasons = append(j.reasons, Reason{o, code, fmt.Sprintf(format, args...)})
}

// errors looks for operations that failed and data that is wrong.
func (j *judgement) errors() {
	for c := range nClasses {
		s := j.w.now[c]
		if s == nil || s.errors == 0 && s.wrong == 0 {
			continue
		}
		for d, t := range j.w.r.targets {
			var errors, wrong uint64
			var what, where string
			for _, l := range j.w.r.loops {
				cell := l.rec.cell(d, c)
				if cell == nil {
					continue
				}
				if n := cell.errors.Load(); n > 0 {
					errors += n
					what = fmt.Sprintf("the first at byte %d: %s", cell.errorAt.Load(), resultText(cell.errno.Load()))
				}
				if n := cell.wrong.Load(); n > 0 {
					wrong += n
					where = fmt.Sprintf("the first at byte %d", cell.wrongAt.Load())
				}
			}
			if errors > 0 {
				j.say(Error, "io-error", "%s: %d %s failed, %s", t.name, errors, c, what)
			}
			if wrong > 0 {
				j.say(Error, "wrong-data", "%s: %d %s returned data that was not written there, %s", t.name, wrong, c, where)
			}
		}
	}
}

// host looks for what the generator and its machine did wrong.
func (j *judgement) host() {
	var issued, late uint64
	var starved, worst int64
	for _, l := range j.w.r.loops {
		issued += l.rec.issued.Load()
		late += l.rec.late.Load()
		starved = max(starved, l.rec.starved.Load()-l.starvedBefore)
		worst = max(worst, int64(l.rec.lateness.Max()))
	}
	o := &j.w.r.o
	if !j.final && issued < minJudged {
		return
	}
	if issued > 0 && float64(late) > maxLateShare*float64(issued) {
		j.say(Invalid, "late", "the generator was late: %.2f %% of the operations were submitted more than %v after they were due, through no fault of the drive (worst %v)", percent(late, issued), o.MaxLateness, time.Duration(worst).Round(time.Microsecond))
	}
	if share := float64(starved) / float64(max(j.w.last, 1)); share > o.MaxStarved {
		j.say(Invalid, "starved", "a loop waited for a CPU for %.1f %% of the time, limit %.0f %%", 100*share, 100*o.MaxStarved)
	}
}

// slices holds whole slices, and what the current one can still become,
// against the rules.
func (j *judgement) slices() {
	o := &j.w.r.o
	for _, r := range o.Rules {
		s := j.w.now[r.Class]
		i := thresholdIndex(r.Over)
		if s == nil || i < 0 || !r.Judged {
			continue
		}
		bad := false
		for _, slice := range j.w.slices[r.Class][r.Clock] {
			if !r.holds(slice.Over[i], slice.Total) && !bad {
				bad = true
				j.say(Fail, "slow", "slice %d: %.4f %% of the %s took %v or more in %s time, limit below %g %%", slice.Number, percent(slice.Over[i], slice.Total), r.Class, r.Over, r.Clock, float64(r.PerMille)/10)
			}
		}
		if bad {
			continue
		}
		d := s.since(&j.w.base[r.Class])
		if spent, budget := d.over[r.Clock][i], j.budget(r); spent > 0 && float64(spent) >= budget {
			j.say(Fail, "slow", "slice %d, after %.0f s of %.0f: %d of the %s took %v or more in %s time, more than a whole slice may have (%.0f)", len(j.w.slices[r.Class][r.Clock])+1, (j.w.last - j.w.from).Seconds(), o.Slice.Seconds(), spent, r.Class, r.Over, r.Clock, budget)
		}
	}
}

// budget returns how many operations over a rule's threshold a slice may have.
func (j *judgement) budget(r Rule) float64 {
	return budgetSlack * j.w.r.asked[r.Class].Float() * j.w.r.o.Slice.Seconds() * float64(r.PerMille) / 1000
}

// delivery compares what was asked for with what was done.
func (j *judgement) delivery() {
	seconds := min(j.w.r.stopAt(), j.w.r.o.Config.Duration).Seconds()
	for c := range nClasses {
		asked := j.w.r.asked[c].Float() * seconds
		s := j.w.now[c]
		if s == nil || asked == 0 {
			continue
		}
		back := float64(s.done + s.errors)
		if allowed := j.shortfall(asked); back < asked-allowed {
			j.say(Fail, "rate", "%.2f %% of the %s that were asked for were delivered: the drive does not keep up with %.0f a second", 100*back/asked, c, j.w.r.asked[c].Float())
		}
	}
}

// shortfall returns how many operations may be missing at the end: a thousandth,
// of drawn arrivals also what chance explains, and one for each stream.
func (j *judgement) shortfall(asked float64) float64 {
	streams := float64(len(j.w.r.targets)*len(j.w.r.loops)) + float64(j.w.r.o.Config.ServiceThreads)*btof(j.w.r.o.Arrival == ACT6)
	allowed := (1-minDelivered)*asked + 1 + streams
	if j.w.r.o.Arrival == Poisson {
		allowed += 5 * sqrt(asked)
	}
	return allowed
}

// end looks at how the run came to its end.
func (j *judgement) end() {
	r := j.w.r
	for _, s := range r.stops() {
		switch s.cause {
		case stopLag:
			j.say(Fail, "lag", "%s", s)
		case stopStuck:
			j.say(Fail, "stuck", "%s", s)
		case stopUser:
			j.say(Invalid, "interrupted", "interrupted after %.0f of %.0f s", r.stopAt().Seconds(), r.o.Config.Duration.Seconds())
		}
	}
	var pending int64
	for _, l := range r.loops {
		pending += l.pending.Load()
	}
	if pending > 0 {
		j.say(Fail, "stuck", "%d operations had not come back %v after the last was issued", pending, r.patience())
	}
	var done uint64
	for _, s := range j.w.now {
		if s != nil {
			done += s.done
		}
	}
	if done == 0 {
		j.say(Invalid, "nothing", "no operation came back")
	}
}

// Other I/O on a device counts from so much on, beside a share of our own: what
// kernels and partition scans do by the way.
const (
	foreignBytes = 16 << 20
	foreignShare = 0.05
)

// surroundings looks at what the devices did besides.
func (w *watch) surroundings(drives []Drive) {
	for i := range drives {
		d := &drives[i]
		if !d.Direct {
			w.around = append(w.around, Reason{Invalid, "page-cache", d.Path + ": the file system has no direct I/O: what was measured is the page cache"})
		}
		if d.Before == nil || d.After == nil {
			continue
		}
		var read, written uint64
		for _, l := range w.r.loops {
			for c := range nClasses {
				cell := l.rec.cell(i, c)
				switch {
				case cell == nil:
				case c.writes():
					written += cell.bytes.Load()
				default:
					read += cell.bytes.Load()
				}
			}
		}
		for _, each := range []struct {
			what      string
			disk, own uint64
		}{{"read", d.After.ReadBytes - d.Before.ReadBytes, read}, {"written", d.After.WrittenBytes - d.Before.WrittenBytes, written}} {
			if each.disk > each.own && float64(each.disk-each.own) > foreignBytes+foreignShare*float64(each.own) {
				w.around = append(w.around, Reason{Invalid, "foreign-io", fmt.Sprintf("%s: %.1f MB were %s by others, %.1f MB by the test", d.Path, float64(each.disk-each.own)/1e6, each.what, float64(each.own)/1e6)})
			}
		}
	}
}
