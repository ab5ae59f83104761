package info

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// values collects figures by name before they are written in the order of a
// table.
type values struct {
	by    map[string]string
	extra []string // names no table knows, in order of arrival: our own
}

func newValues() *values { return &values{by: map[string]string{}} }

func (v *values) text(name, value string) {
	if _, known := v.by[name]; !known {
		v.extra = append(v.extra, name)
	}
	v.by[name] = value
}

func (v *values) number(name string, n uint64) { v.text(name, strconv.FormatUint(n, 10)) }
func (v *values) signed(name string, n int64)  { v.text(name, strconv.FormatInt(n, 10)) }
func (v *values) truth(name string, b bool)    { v.text(name, strconv.FormatBool(b)) }

// structs takes the fields with a `stat:"name"` tag. A percentage or ratio
// may carry its decimals: `stat:"name,2"`.
func (v *values) structs(sources []any) {
	for _, src := range sources {
		rv := reflect.ValueOf(src)
		for rv.Kind() == reflect.Pointer && !rv.IsNil() {
			rv = rv.Elem()
		}
		if rv.Kind() == reflect.Struct {
			v.fields(rv)
		}
	}
}

func (v *values) fields(rv reflect.Value) {
	t := rv.Type()
	for i := range t.NumField() {
		f, fv := t.Field(i), rv.Field(i)
		tag, ok := f.Tag.Lookup("stat")
		if !ok {
			if f.Anonymous && fv.Kind() == reflect.Struct {
				v.fields(fv)
			}
			continue
		}
		name, decimals, _ := strings.Cut(tag, ",")
		v.text(name, format(fv, decimals))
	}
}

// format writes a figure as statistics show them.
func format(v reflect.Value, decimals string) string {
	switch {
	case v.CanFloat():
		n, _ := strconv.Atoi(decimals)
		return strconv.FormatFloat(v.Float(), 'f', n, 64)
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	}
	return fmt.Sprint(v.Interface())
}

// pairs writes name=value;…, the way of every list of figures. The zero pairs
// starts an answer.
type pairs struct {
	dst    []byte
	some   bool
	prefix string // of every name
}

func (p *pairs) add(name, value string) {
	if p.some {
		p.dst = append(p.dst, ';')
	}
	p.some = true
	p.dst = append(append(append(append(p.dst, p.prefix...), name...), '='), value...)
}

// table writes the figures in the order of a table of names with defaults,
// calls star where the table has one, and ends with what only v knows.
func (v *values) table(p *pairs, table string, star func()) {
	known := map[string]bool{}
	for _, entry := range strings.Fields(table) {
		if entry == "*" {
			star()
			continue
		}
		name, def, ok := strings.Cut(entry, "=")
		if !ok {
			def = "0"
		}
		known[name] = true
		value, have := v.by[name]
		switch {
		case !have:
			value = def
		case value == absent:
			continue
		}
		p.add(name, value)
	}
	for _, name := range v.extra {
		if !known[name] && v.by[name] != absent {
			p.add(name, v.by[name])
		}
	}
}

// absent is the value of a name that this namespace does not list.
const absent = "\x00absent"
