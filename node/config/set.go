package config

import (
	"errors"
	"fmt"
	"reflect"
)

// ErrInvalid says that set-config names no parameter that can change at run
// time, or a value it cannot take. What wraps it says which and why.
var ErrInvalid = errors.New("config: invalid parameter")

// Change is one accepted set-config.
type Change struct {
	Context, Namespace, Set string
	Name, From, To          string // the parameter by its get-config name, canonical values
	Idle                    bool   // nobody takes the parameter: it is reported and has no effect
}

// Rule may refuse a change that its own range allows, because of another
// setting. value gives current settings by context, namespace and name.
type Rule func(ch Change, value func(context, namespace, name string) string) error

// AddRule adds a condition on changes. Call it before the node serves.
func (c *Config) AddRule(r Rule) { c.rules = append(c.rules, r) }

// Bind sets who takes changes of a context: apply gets the whole Options value
// with the change in it and returns an error to refuse it. T is the struct, not
// the pointer, that Load filled for this context. What T holds beside the
// tagged fields is as Effective left it. apply must not call c.
func Bind[T any](c *Config, context, namespace string, apply func(T) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.find(context, namespace)
	if err != nil {
		return err
	}
	if want := reflect.TypeFor[T](); !s.target.IsValid() || s.target.Type() != want {
		return fmt.Errorf("config: context %s is not held by a %v", context, want)
	}
	c.appliers[s] = func(v any) error { return apply(v.(T)) }
	return nil
}

// Effective replaces the values of a context by those its owner runs with,
// defaults computed. T is as for Bind.
func Effective[T any](c *Config, context, namespace string, options T) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.find(context, namespace)
	if err != nil {
		return err
	}
	v := reflect.ValueOf(&options).Elem()
	if !s.target.IsValid() || s.target.Type() != v.Type() {
		return fmt.Errorf("config: context %s is not held by a %v", context, v.Type())
	}
	s.target.Set(clone(v))
	s.connect(s.target) // elements of slices have moved
	s.walk(func(c *section) { c.effective = true })
	return nil
}

// Set changes one parameter at run time: the first in the table's order that
// given has a value for, as the original does. Names of network carry their
// group ("heartbeat.interval"), those of a storage engine do not, those of
// geo2dsphere-within are joined by a dash. set is "" for the namespace itself.
// The error wraps ErrContext or ErrInvalid; then nothing has changed.
func (c *Config) Set(context, namespace, set string, given func(name string) (string, bool)) (Change, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := Change{Context: context, Namespace: namespace, Set: set}
	s, err := c.find(context, namespace)
	if err != nil {
		return ch, err
	}
	if set != "" {
		if len(set) > MaxSetName {
			return ch, fmt.Errorf("%w: set name of %d bytes: want at most %d", ErrInvalid, len(set), MaxSetName)
		}
		return c.setOfSet(s, ch, given)
	}
	return c.setFirst(s, s, "", ch, given)
}

// maxConfiguredSets is the number of sets a namespace can have at all.
const maxConfiguredSets = 4095

// setOfSet changes a parameter of a set. A set without settings gets its
// section, and its element in the owner's Options, for good only when the
// change succeeds.
func (c *Config) setOfSet(ns *section, ch Change, given func(string) (string, bool)) (Change, error) {
	if s := ns.child("set", ch.Set); s != nil {
		return c.setFirst(ns, s, "", ch, given)
	}
	if len(ns.names("set")) >= maxConfiguredSets {
		return ch, fmt.Errorf("%w: more than %d sets", ErrInvalid, maxConfiguredSets)
	}
	def := ns.def.sub("set")
	s := ns.add(def, ch.Set)
	slot, bound := ns.slots[def]
	if bound {
		ns.connectSlice(def, slot)
	}
	done, err := c.setFirst(ns, s, "", ch, given)
	if err != nil {
		ns.sections = ns.sections[:len(ns.sections)-1]
		if bound {
			slot.Set(slot.Slice(0, slot.Len()-1))
		}
	}
	return done, err
}

// setFirst looks for the first parameter of s and its blocks that given
// knows, and changes it.
func (c *Config) setFirst(owner, s *section, prefix string, ch Change, given func(string) (string, bool)) (Change, error) {
	for _, p := range s.def.params {
		text, ok := given(prefix + p.name)
		if !ok {
			continue
		}
		return c.change(owner, s, p, prefix, text, ch)
	}
	for _, sub := range s.sections {
		if sub.def.word == nameWord {
			continue
		}
		if done, err := c.setFirst(owner, sub, subPrefix(prefix, sub.def), ch, given); done.Name != "" {
			return done, err
		}
	}
	return ch, fmt.Errorf("%w: no parameter of %s that can change is named", ErrInvalid, s.path())
}

// subPrefix is what set-config writes before the names of a block.
func subPrefix(prefix string, b *block) string {
	switch {
	case b.name == "storage-engine":
		return prefix
	case b.name == "geo2dsphere-within":
		return prefix + b.name + "-"
	}
	return prefix + b.name + "."
}

func (c *Config) change(owner, s *section, p *param, prefix, text string, ch Change) (Change, error) {
	ch.Name = prefix + p.name
	refuse := func(format string, args ...any) (Change, error) {
		return ch, fmt.Errorf("%w: %s: %s", ErrInvalid, ch.Name, fmt.Sprintf(format, args...))
	}
	if p.flags&dyn == 0 || !p.applies(s.word) {
		return refuse("cannot change at run time")
	}
	loose := *p
	loose.max = max(p.max, looseMax[p.name])
	value, err := loose.parse(text, true)
	if err != nil {
		return refuse("%q: %v", text, err)
	}
	old, _ := s.value(p)
	ch.From, ch.To = old, value
	f, bound := s.fields[p.name]
	ch.Idle = !bound
	for _, rule := range c.rules {
		if err := rule(ch, c.valueLocked); err != nil {
			return refuse("%v", err)
		}
	}
	if bound {
		if err := f.write(p, value, nil); err != nil {
			return refuse("%q: %v", text, err)
		}
		if apply := c.appliers[owner]; apply != nil {
			if err := apply(clone(owner.target).Interface()); err != nil {
				err = errors.Join(err, f.write(p, old, nil))
				return refuse("%s: %v", value, err)
			}
		}
	}
	s.values[p.name] = &setting{text: value}
	return ch, nil
}

// looseMax is what set-config accepts beyond the file's range, as the
// original does.
var looseMax = map[string]uint64{"defrag-lwm-pct": 100}

// Given returns the lookup that Set wants for one name and value.
func Given(name, value string) func(string) (string, bool) {
	return func(n string) (string, bool) {
		if n == name {
			return value, true
		}
		return "", false
	}
}

// Report sets what get-config shows of a parameter that its owner computes
// and that no Options field holds: one text, or the entries of a list.
func (c *Config) Report(context, namespace, name string, values ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.find(context, namespace)
	if err != nil {
		return err
	}
	p, s := s.resolve(name)
	switch {
	case p == nil:
		return fmt.Errorf("config: no parameter %q in %s", name, context)
	case p.kind == List:
		s.values[p.name] = &setting{list: values}
	case len(values) == 1:
		s.values[p.name] = &setting{text: values[0]}
	default:
		return fmt.Errorf("config: %s takes 1 value, not %d", name, len(values))
	}
	return nil
}
