package info

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
)

// logContexts are the parts of a node whose log level can be set one by one,
// in the order of "log". The names are the original's, so that its
// configuration files and tools fit; ours log under the nearest.
var logContexts = strings.Fields(`
	misc alloc arenax hardware msg os secrets socket tls vault vmapx xmem aggr appeal as audit batch batch-sub bin
	config clustering deprecation drv-mem drv_pmem drv_ssd exchange exp fabric flat geo hb health hlc index info
	info-command key-busy migrate mrt-audit mrt-monitor namespace nsup particle partition proto proxy proxy-divert
	query record roster rw rw-client security service service-list sindex skew smd storage truncate tsvc udf xdr
	xdr-client masking`)

// Levels of the log beyond slog's.
const (
	LevelCritical = slog.LevelError + 4
	LevelDetail   = slog.LevelDebug - 4
)

var levelNames = []struct {
	name  string
	level slog.Level
}{
	{"CRITICAL", LevelCritical},
	{"WARNING", slog.LevelWarn},
	{"INFO", slog.LevelInfo},
	{"DEBUG", slog.LevelDebug},
	{"DETAIL", LevelDetail},
}

// Levels holds the level of each log context. Reading one costs an atomic
// load; any goroutine may read and set.
type Levels struct{ of []atomic.Int64 }

// NewLevels returns levels that are all INFO.
func NewLevels() *Levels { return &Levels{of: make([]atomic.Int64, len(logContexts))} } // slog.LevelInfo is 0

// Set changes the level of one context, or of all for "any". It is false for
// an unknown context or level; then nothing has changed.
func (l *Levels) Set(context, level string) bool {
	to, ok := parseLevel(level)
	if !ok {
		return false
	}
	if context == "any" {
		for i := range l.of {
			l.of[i].Store(int64(to))
		}
		return true
	}
	i := slices.Index(logContexts, context)
	if i < 0 {
		return false
	}
	l.of[i].Store(int64(to))
	return true
}

func parseLevel(name string) (slog.Level, bool) {
	for _, l := range levelNames {
		if strings.EqualFold(l.name, name) {
			return l.level, true
		}
	}
	return 0, false
}

// name returns the level's name as "log" shows it.
func (l *Levels) name(i int) string {
	for _, known := range levelNames {
		if l.of[i].Load() >= int64(known.level) {
			return known.name
		}
	}
	return "DETAIL"
}

// Handler returns next with the level of a context in force: a logger made of
// it logs for that part of the node. An unknown context counts as misc.
func (l *Levels) Handler(context string, next slog.Handler) slog.Handler {
	i := max(slices.Index(logContexts, context), 0)
	return levelHandler{next, &l.of[i]}
}

type levelHandler struct {
	slog.Handler
	level *atomic.Int64
}

func (h levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return int64(level) >= h.level.Load()
}

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.level}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}
