package act

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Limits of a log that is read.
const (
	maxLogLine    = 1 << 20
	maxHistograms = 1 << 10
	maxReports    = 1 << 24
)

// logBuckets is the number of buckets of a histogram in a log.
const logBuckets = 65

// buckets are counts by power of two: bucket 0 below 1 unit, bucket b from
// 2^(b-1) up to but not 2^b units.
type buckets [logBuckets]uint64

// atOrAbove returns the operations that took 2^k units or more.
func (b *buckets) atOrAbove(k int) (n uint64) {
	for _, c := range b[k+1:] {
		n += c
	}
	return n
}

func (b *buckets) total() (n uint64) {
	for _, c := range b {
		n += c
	}
	return n
}

// minus returns what was counted after an earlier state, false if the counts
// have gone down.
func (b *buckets) minus(before *buckets) (d buckets, ok bool) {
	for i := range b {
		if b[i] < before[i] {
			return d, false
		}
		d[i] = b[i] - before[i]
	}
	return d, true
}

// Log is what a log in ACT's format says.
type Log struct {
	Version      string
	Model        Model
	Config       map[string]string // by key, as written
	Derived      map[string]string
	Interval     time.Duration
	Duration     time.Duration // configured
	Microseconds bool
	Histograms   []string
	// Messages are the lines that belong to no report: errors and the reason
	// of an early end.
	Messages []string
	reports  []logReport
}

// logReport is the state of all histograms at one moment.
type logReport struct {
	at     time.Duration
	counts map[string]*buckets
}

// ErrNoLog says that a text is not a log in ACT's format.
var ErrNoLog = errors.New("not a log in ACT's format")

// logParser reads a log line by line.
type logParser struct {
	log     *Log
	section func(p *logParser, line string) error
	open    *buckets // histogram whose counts follow
	openSum uint64   // what its title says
	name    string
}

var (
	afterLine  = regexp.MustCompile(`^after (\d+) sec:$`)
	titleLine  = regexp.MustCompile(`^(\S.*) \((\d+) total\)$`)
	countPairs = regexp.MustCompile(`^( \(\d{2}: \d{10,20}\)){1,4}$`)
	countPair  = regexp.MustCompile(`\((\d{2}): (\d+)\)`)
)

// ParseLog reads a log in ACT's format, version 6. A log that breaks off in
// the middle of a report is read up to the report before.
func ParseLog(r io.Reader) (*Log, error) {
	p := &logParser{log: &Log{Config: map[string]string{}, Derived: map[string]string{}}, section: (*logParser).preamble}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLogLine)
	n := 0
	for s.Scan() {
		n++
		if err := p.section(p, strings.TrimRight(s.Text(), "\r")); err != nil {
			return nil, fmt.Errorf("act: log: line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("act: log: line %d: %w", n+1, err)
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("act: log: %w", err)
	}
	return p.log, nil
}

// preamble reads up to the configuration.
func (p *logParser) preamble(line string) error {
	switch {
	case strings.HasPrefix(line, "ACT version "):
		p.log.Version = strings.TrimPrefix(line, "ACT version ")
		if major, _, _ := strings.Cut(p.log.Version, "."); major != "6" {
			return fmt.Errorf("version %q: want 6", p.log.Version)
		}
	case line == "ACT-STORAGE CONFIGURATION", line == "ACT-INDEX CONFIGURATION":
		if p.log.Version == "" {
			return fmt.Errorf("%w: no version before the configuration", ErrNoLog)
		}
		if line == "ACT-INDEX CONFIGURATION" {
			p.log.Model = Index
		}
		p.section = (*logParser).config
	}
	return nil
}

func (p *logParser) config(line string) error {
	if line == "" {
		p.section = (*logParser).between
		return nil
	}
	return pair(p.log.Config, line)
}

func (p *logParser) derived(line string) error {
	if line == "" {
		p.section = (*logParser).between
		return nil
	}
	return pair(p.log.Derived, line)
}

func pair(m map[string]string, line string) error {
	name, value, ok := strings.Cut(line, ": ")
	if !ok {
		if name, ok = strings.CutSuffix(line, ":"); !ok {
			return fmt.Errorf("%.80q: want a name and a value", line)
		}
	}
	m[name] = value
	return nil
}

// between reads what stands between the configuration and the reports.
func (p *logParser) between(line string) error {
	switch line {
	case "DERIVED CONFIGURATION":
		p.section = (*logParser).derived
	case "HISTOGRAM NAMES":
		p.section = (*logParser).names
	}
	return nil
}

func (p *logParser) names(line string) error {
	if line == "" {
		p.section = (*logParser).body
		return p.readConfig()
	}
	if len(p.log.Histograms) == maxHistograms {
		return fmt.Errorf("more than %d histograms", maxHistograms)
	}
	p.log.Histograms = append(p.log.Histograms, line)
	return nil
}

// readConfig takes from the configuration what judging needs.
func (p *logParser) readConfig() error {
	seconds := func(name string) (time.Duration, error) {
		n, err := strconv.ParseUint(p.log.Config[name], 10, 32)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("%s is %q: want a number of seconds", name, p.log.Config[name])
		}
		return time.Duration(n) * time.Second, nil
	}
	var err1, err2 error
	p.log.Interval, err1 = seconds("report-interval-sec")
	p.log.Duration, err2 = seconds("test-duration-sec")
	p.log.Microseconds = p.log.Config["microsecond-histograms"] == "yes"
	return errors.Join(err1, err2)
}

// body reads reports and messages.
func (p *logParser) body(line string) error {
	if countPairs.MatchString(line) {
		return p.addCounts(line)
	}
	if err := p.closeHistogram(); err != nil {
		return err
	}
	if m := afterLine.FindStringSubmatch(line); m != nil {
		n, err := strconv.ParseUint(m[1], 10, 32)
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		at := time.Duration(n) * time.Second
		if k := len(p.log.reports); k == maxReports || k > 0 && at <= p.log.reports[k-1].at {
			return fmt.Errorf("%q: want reports in the order of time, at most %d", line, maxReports)
		}
		p.log.reports = append(p.log.reports, logReport{at: at, counts: map[string]*buckets{}})
		return nil
	}
	if m := titleLine.FindStringSubmatch(line); m != nil && len(p.log.reports) > 0 && p.known(m[1]) {
		sum, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		p.name, p.openSum, p.open = m[1], sum, &buckets{}
		return nil
	}
	if line != "" {
		p.log.Messages = append(p.log.Messages, line)
	}
	return nil
}

func (p *logParser) known(name string) bool {
	for _, h := range p.log.Histograms {
		if h == name {
			return true
		}
	}
	return false
}

func (p *logParser) addCounts(line string) error {
	if p.open == nil {
		return fmt.Errorf("counts without a histogram: %.80q", line)
	}
	for _, m := range countPair.FindAllStringSubmatch(line, -1) {
		b, err1 := strconv.Atoi(m[1])
		n, err2 := strconv.ParseUint(m[2], 10, 64)
		if err1 != nil || err2 != nil || b >= logBuckets {
			return fmt.Errorf("%q: want a bucket below %d and its count", m[0], logBuckets)
		}
		p.open[b] = n
	}
	return nil
}

// closeHistogram ends a histogram: its counts make up its total. Threads go on
// counting while ACT prints, so that they may differ by the operations of a
// moment; who counts by bucket takes the buckets.
func (p *logParser) closeHistogram() error {
	if p.open == nil {
		return nil
	}
	sum := p.open.total()
	const moment = 1000
	if sum > p.openSum+moment || p.openSum > sum+moment {
		return fmt.Errorf("histogram %s: counts add up to %d, its title says %d", p.name, sum, p.openSum)
	}
	p.log.reports[len(p.log.reports)-1].counts[p.name] = p.open
	p.open = nil
	return nil
}

// finish drops a last report that broke off.
func (p *logParser) finish() error {
	if len(p.log.Histograms) == 0 || p.log.Interval == 0 {
		return fmt.Errorf("%w: want ACT's headings, configuration and HISTOGRAM NAMES", ErrNoLog)
	}
	k := len(p.log.reports)
	err := p.closeHistogram()
	if k > 0 && (err != nil || len(p.log.reports[k-1].counts) < len(p.log.Histograms)) {
		p.log.reports = p.log.reports[:k-1]
		return nil
	}
	return err
}

// Last returns the time of the last whole report.
func (l *Log) Last() time.Duration {
	if len(l.reports) == 0 {
		return 0
	}
	return l.reports[len(l.reports)-1].at
}

// at returns a histogram's counts at a time, nil if no report is of that time.
// At 0 all counts are 0.
func (l *Log) at(name string, t time.Duration) *buckets {
	if t == 0 {
		return &buckets{}
	}
	low, high := 0, len(l.reports)
	for low < high {
		if mid := (low + high) / 2; l.reports[mid].at < t {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(l.reports) || l.reports[low].at != t {
		return nil
	}
	return l.reports[low].counts[name]
}

// stopped returns why the run ended early, "" if it did not say so.
func (l *Log) stopped() string {
	for _, m := range l.Messages {
		if strings.Contains(m, "can't keep up") || strings.Contains(m, "can't do requested load") || strings.Contains(m, "test stopped") {
			return m
		}
	}
	return ""
}

// ioErrors returns the messages that tell of failed operations.
func (l *Log) ioErrors() (out []string) {
	for _, m := range l.Messages {
		lower := strings.ToLower(m)
		if strings.Contains(lower, "error") && !strings.Contains(lower, "can't keep up") && !strings.Contains(lower, "requested load") {
			out = append(out, m)
		}
	}
	return out
}
