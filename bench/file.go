package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// readOptions sets the flags that a YAML file names and the command line does
// not. The file is one mapping of long names to values, or to lists of values:
//
//	workload: RU,80
//	namespace: [test, mem]
//	rate: 1000..20000/60s
//
// It reports every mistake at once, each with its line.
func readOptions(flags *pflag.FlagSet, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("bench: options: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("bench: options: %s: %w", name, err)
	}
	if len(doc.Content) == 0 {
		return nil // an empty file
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("bench: options: %s: want a mapping of option names to values", name)
	}
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		if err := setOption(flags, root.Content[i], root.Content[i+1]); err != nil {
			errs = append(errs, fmt.Errorf("bench: options: %s line %d: %w", name, root.Content[i].Line, err))
		}
	}
	return errors.Join(errs...)
}

// setOption sets one flag, unless the command line has it.
func setOption(flags *pflag.FlagSet, key, value *yaml.Node) error {
	flag := flags.Lookup(key.Value)
	if flag == nil || key.Value == "file" || key.Value == "help" {
		return fmt.Errorf("unknown option %q", key.Value)
	}
	if flag.Changed {
		return nil
	}
	text := value.Value
	switch value.Kind {
	case yaml.ScalarNode:
	case yaml.SequenceNode:
		var parts []string
		for _, item := range value.Content {
			parts = append(parts, item.Value)
		}
		text = strings.Join(parts, ",")
	default:
		return fmt.Errorf("%s: want a value or a list", key.Value)
	}
	return flags.Set(key.Value, text)
}
