package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Config is the configuration of a node: what the file said, what set-config
// has changed since, and the defaults of everything else. All methods may be
// called from any goroutine.
type Config struct {
	mu       sync.Mutex
	root     *section
	warnings []Message
	appliers map[*section]func(any) error
	rules    []Rule
}

// Pair is one name and value of a get-config answer.
type Pair struct{ Name, Value string }

// Error is the mistakes of a file, in the order of its lines.
type Error struct {
	File     string // as given to Load, "" for text
	Mistakes []Message
}

// Error lists every mistake, one a line.
func (e *Error) Error() string {
	var b strings.Builder
	for i, m := range e.Mistakes {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "config: %s", e.File)
		if e.File != "" {
			b.WriteString(": ")
		}
		b.WriteString(m.String())
	}
	return b.String()
}

// Load reads the file at path and fills the struct that into points to. On
// mistakes the error is an *Error with all of them; the Config that is returned beside it
// still holds the warnings.
func Load(path string, into any) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: read %s: %w", path, err)
	}
	c, err := Parse(string(text), into)
	var mistakes *Error
	if errors.As(err, &mistakes) {
		mistakes.File = path
	}
	return c, err
}

// Parse is Load for the text of a file.
func Parse(text string, into any) (*Config, error) {
	r := &report{}
	c := newConfig(into)
	rd := &reader{report: r, root: c.root}
	rd.read(scan(text, r))
	rd.check()
	if c.root.child("service", "").values["cluster-name"] == nil {
		r.mistake(0, "service: cluster-name is missing: every node of a cluster needs the same name")
	}
	if len(c.root.names("namespace")) == 0 {
		r.mistake(0, "no namespace: want at least one")
	}
	return c.finish(into, r)
}

// New returns the configuration of a node without a file: what the struct that into points to
// holds, and the table's defaults where a field is zero.
func New(into any) (*Config, error) {
	return newConfig(into).finish(into, &report{})
}

func newConfig(into any) *Config {
	table := newTable()
	table.extend(reflect.TypeOf(into).Elem())
	return &Config{root: newSection(table, ""), appliers: map[*section]func(any) error{}}
}

// finish binds a private copy of the caller's struct, fills it, and hands a
// copy back: later changes never reach through to the caller.
func (c *Config) finish(into any, r *report) (*Config, error) {
	out := reflect.ValueOf(into).Elem()
	own := clone(out)
	c.root.bind(own)
	c.root.walk(func(s *section) { s.fill(r) })
	out.Set(clone(own))
	c.warnUnused(r)
	byLine := func(a, b Message) int { return a.Line - b.Line }
	slices.SortStableFunc(r.mistakes, byLine)
	slices.SortStableFunc(r.warnings, byLine)
	c.warnings = r.warnings
	if len(r.mistakes) > 0 {
		return c, &Error{Mistakes: r.mistakes}
	}
	return c, nil
}

// warnUnused warns of settings that protect data and that nobody takes.
func (c *Config) warnUnused(r *report) {
	c.root.walk(func(s *section) {
		for name, v := range s.values {
			p := s.def.param(name)
			_, bound := s.fields[name]
			switch {
			case bound || p.flags&guard == 0 || v.text == p.def && p.kind != List:
				continue
			case name == "replication-factor" && v.text == "1":
				continue // what a node alone does anyway
			}
			r.warning(v.line, "%s is accepted and has no effect in this version", name)
		}
	})
}

// Warnings returns what the operator should know about the file, by line.
func (c *Config) Warnings() []Message { return c.warnings }

// Idle returns the names of the parameters that the file sets and that have no
// effect, as "namespace test: migrate-order".
func (c *Config) Idle() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var idle []string
	c.root.walk(func(s *section) {
		for _, p := range s.def.params {
			if _, bound := s.fields[p.name]; !bound && s.values[p.name] != nil {
				idle = append(idle, s.path()+": "+p.name)
			}
		}
	})
	return idle
}

// Namespaces returns the names of the namespaces in the file's order.
func (c *Config) Namespaces() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.root.names("namespace")
}

// ErrContext says that there is no such context or namespace.
var ErrContext = errors.New("config: unknown context")

// List returns the settings of a context ("service", "network", "namespace")
// in the order and form of get-config. namespace counts for the last only.
func (c *Config) List(context, namespace string) ([]Pair, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.find(context, namespace)
	if err != nil {
		return nil, err
	}
	return s.list(nil, ""), nil
}

// ListSet returns the settings of a set in the order of a "sets" entry; those
// of a set that was never configured are the defaults.
func (c *Config) ListSet(namespace, set string) []Pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	def := c.root.def.sub("namespace").sub("set")
	s := newSection(def, set)
	if ns := c.root.child("namespace", namespace); ns != nil {
		if have := ns.child("set", set); have != nil {
			s = have
		}
	}
	var pairs []Pair
	for _, p := range def.params {
		text, _ := s.value(p)
		pairs = append(pairs, Pair{p.name, text})
	}
	return pairs
}

// Sets returns the names of a namespace's sets that have settings of their own.
func (c *Config) Sets(namespace string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ns := c.root.child("namespace", namespace); ns != nil {
		return ns.names("set")
	}
	return nil
}

// Value returns one setting by its get-config name; "" when there is none.
func (c *Config) Value(context, namespace, name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.valueLocked(context, namespace, name)
}

// valueLocked is Value for who holds the lock: a Rule.
func (c *Config) valueLocked(context, namespace, name string) string {
	top, err := c.find(context, namespace)
	if err != nil {
		return ""
	}
	if p, s := top.resolve(name); p != nil && p.kind != List && p.applies(s.word) {
		text, _ := s.value(p)
		return text
	}
	for _, pair := range top.list(nil, "") { // a block's word, an entry of a list
		if pair.Name == name {
			return pair.Value
		}
	}
	return ""
}

func (c *Config) find(context, namespace string) (*section, error) {
	word := ""
	switch context {
	case "service", "network":
	case "namespace":
		word = namespace
	default:
		return nil, fmt.Errorf("%w %q", ErrContext, context)
	}
	if s := c.root.child(context, word); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: namespace %q", ErrContext, namespace)
}
