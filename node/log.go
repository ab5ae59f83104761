package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/ashlardb/ashlar/node/info"
)

// logSink is where the log goes: a file that can be opened anew, the standard
// error output, or both.
type logSink struct {
	path    string // empty: no file
	console io.Writer

	mu   sync.Mutex
	file *os.File
}

// openLog opens the sink and sets the levels that the options name.
func openLog(o *LoggingOptions, levels *info.Levels, console io.Writer) (*logSink, error) {
	s := &logSink{}
	var contexts []string
	switch len(o.Files) {
	case 0:
		s.console = console
	case 1:
		s.path = o.Files[0].Path
		contexts = o.Files[0].Contexts
	default:
		return nil, fmt.Errorf("logging: %d files: want at most one", len(o.Files))
	}
	if o.Console != nil {
		s.console = console
		contexts = append(contexts, o.Console.Contexts...)
	}
	for _, pair := range contexts {
		context, level, _ := strings.Cut(pair, " ")
		if !levels.Set(context, level) {
			return nil, fmt.Errorf("logging: context %q: want a context and critical, warning, info, debug or detail", pair)
		}
	}
	if err := s.Reopen(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reopen opens the file of that name again, after it was moved away.
func (s *logSink) Reopen() error {
	if s.path == "" {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.file
	s.file = f
	if old != nil {
		return old.Close()
	}
	return nil
}

// Write writes one line of the log.
func (s *logSink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.file != nil {
		_, err := s.file.Write(line)
		errs = append(errs, err)
	}
	if s.console != nil {
		_, err := s.console.Write(line)
		errs = append(errs, err)
	}
	return len(line), errors.Join(errs...)
}

// Close closes the file.
func (s *logSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// handler writes records as text, with the levels by their names here.
func (s *logSink) handler() slog.Handler {
	return slog.NewTextHandler(s, &slog.HandlerOptions{
		Level: info.LevelDetail, // what a context lets through is for info.Levels to say
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			level, ok := a.Value.Any().(slog.Level)
			switch {
			case a.Key != slog.LevelKey || !ok:
			case level >= info.LevelCritical:
				a.Value = slog.StringValue("CRITICAL")
			case level <= info.LevelDetail:
				a.Value = slog.StringValue("DETAIL")
			}
			return a
		},
	})
}
