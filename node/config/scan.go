package config

import (
	"fmt"
	"strings"
)

// Limits of a configuration file.
const (
	MaxFile  = 4 << 20 // bytes of a file
	MaxLine  = 1024    // bytes of a line
	maxDepth = 8       // blocks within blocks
	maxWords = 4       // a name and three values count, as in the original
	maxFound = 100     // mistakes and warnings reported of one file, each
)

// Message is a mistake or a warning about one line of a file.
type Message struct {
	Line int // from 1; 0 is about the file as a whole
	Text string
}

// String gives the message as an operator reads it.
func (m Message) String() string {
	if m.Line == 0 {
		return m.Text
	}
	return fmt.Sprintf("line %d: %s", m.Line, m.Text)
}

// report collects what is wrong with a file, up to a limit.
type report struct {
	mistakes, warnings []Message
}

func (r *report) mistake(line int, format string, args ...any) {
	r.mistakes = add(r.mistakes, line, format, args)
}

func (r *report) warning(line int, format string, args ...any) {
	r.warnings = add(r.warnings, line, format, args)
}

func add(list []Message, line int, format string, args []any) []Message {
	switch {
	case len(list) < maxFound:
		return append(list, Message{line, fmt.Sprintf(format, args...)})
	case len(list) == maxFound:
		return append(list, Message{0, fmt.Sprintf("more than %d lines: the rest is not shown", maxFound)})
	}
	return list
}

// line is one line of the file in words: a name and what follows it.
type line struct {
	number int
	name   string
	values []string // without the opening brace
	opens  bool     // the line ended in "{"
	closes bool     // the line is "}"
}

// scan cuts a file into lines: comments and empty lines fall away.
func scan(text string, r *report) []line {
	if len(text) > MaxFile {
		r.mistake(0, "the file has %d bytes: want at most %d", len(text), MaxFile)
		return nil
	}
	var lines []line
	number := 0
	for raw := range strings.Lines(text) {
		number++
		raw = strings.TrimRight(raw, "\r\n")
		if len(raw) > MaxLine {
			r.mistake(number, "the line has %d bytes: want at most %d", len(raw), MaxLine)
			continue
		}
		if strings.IndexByte(raw, 0) >= 0 {
			r.mistake(number, "the line holds a zero byte")
			continue
		}
		raw, _, _ = strings.Cut(raw, "#")
		if words := strings.Fields(raw); len(words) > 0 {
			lines = append(lines, splitLine(number, words, r))
		}
	}
	return lines
}

func splitLine(number int, words []string, r *report) line {
	l := line{number: number, name: words[0], values: words[1:]}
	switch l.name {
	case "}":
		l.closes = true
		if len(l.values) > 0 {
			r.warning(number, "words after } are not read: %q", strings.Join(l.values, " "))
		}
		return l
	case "{":
		r.mistake(number, "a { without a name: it belongs on the line of the block's name")
	}
	if n := len(l.values); n > 0 && l.values[n-1] == "{" {
		l.opens, l.values = true, l.values[:n-1]
	}
	for i, v := range l.values {
		if v == "{" || v == "}" {
			r.mistake(number, "%q in the middle of a line: one directive a line, a closing brace first on its own", v)
			l.values = l.values[:i]
			break
		}
	}
	if len(l.values) > maxWords-1 {
		r.mistake(number, "%s has %d values: want at most %d", l.name, len(l.values), maxWords-1)
		l.values = l.values[:maxWords-1]
	}
	return l
}
