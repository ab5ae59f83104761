package act

import (
	"fmt"
	"strings"
	"time"
)

// progressEvery is the time between progress lines where there is no terminal.
const progressEvery = 10 * time.Second

// progress shows the latest second, the worst slice and what is left of the
// current slice's budget.
func (w *watch) progress(now time.Duration) {
	o := &w.r.o
	if o.Progress == nil || !o.Live && now < w.nextLine {
		return
	}
	w.nextLine = now + progressEvery - time.Second/10
	var b strings.Builder
	fmt.Fprintf(&b, "%v left", max(o.Config.Duration-now, 0).Round(time.Second))
	for c := range nClasses {
		s := w.now[c]
		if s == nil {
			continue
		}
		d, r := s.since(&w.before[c].counters), latencyOf(s.response.Since(w.before[c].response))
		fmt.Fprintf(&b, "  %s %d p50 %s p99 %s", short(c), d.done, micros(r.P50), micros(r.P99))
	}
	if s := w.now[Read]; s != nil {
		d := s.since(&w.base[Read])
		parts := make([]string, len(thresholds))
		for i := range thresholds {
			budget := w.r.asked[Read].Float() * o.Slice.Seconds() * float64(perMilles[i]) / 1000
			parts[i] = fmt.Sprintf("%.0f", 100*max(1-float64(d.over[Service][i])/max(budget, 1), 0))
		}
		fmt.Fprintf(&b, "  budget %s %%", strings.Join(parts, "/"))
		worst := -1.0
		for _, slice := range w.slices[Read][Service] {
			worst = max(worst, percent(slice.Over[0], slice.Total))
		}
		if worst >= 0 {
			fmt.Fprintf(&b, "  worst slice %.2f %%", worst)
		}
		if s.errors+s.wrong > 0 {
			fmt.Fprintf(&b, "  ERRORS %d", s.errors+s.wrong)
		}
	}
	if o.Live {
		fmt.Fprintf(o.Progress, "\r%s\x1b[K", b.String())
		return
	}
	fmt.Fprintln(o.Progress, b.String())
}

// short returns a class's name for a narrow line.
func short(c Class) string { return [...]string{"reads", "writes", "lb-r", "lb-w", "tomb"}[c] }

// micros writes microseconds in the unit that suits them.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2fs", us/1e6)
	case us >= 1e4:
		return fmt.Sprintf("%.1fms", us/1e3)
	case us >= 1e3:
		return fmt.Sprintf("%.2fms", us/1e3)
	}
	return fmt.Sprintf("%.0fµs", us)
}
