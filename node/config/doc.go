// Package config reads the configuration file and keeps the settings of a
// running node.
//
//	aerospike.conf ─▶ scan ─▶ tree of lines ─▶ table ─▶ Config ─▶ Options structs
//	                  tokens   blocks, { }      names,     │        (by tag)
//	                                            ranges     │
//	get-config ◀──────────────── List ─────────────────────┤
//	set-config ───────────────── Set ── Apply of the owner ┘
//
// The package imports nothing of ours and knows no setting's meaning. Two
// sources tell it which settings exist:
//
//   - table.go lists every parameter of the original's file, in the order of
//     its get-config answer, with type, unit, default, range, edition and
//     whether it can change at run time. A parameter that no Options struct
//     asks for is accepted, reported and without effect.
//   - the Options structs that packages own. A field tagged config:"name"
//     receives the parameter of that name; a name that is not in the table is
//     an extension of ours, listed after the original's names.
//
// # Tags
//
//	type Options struct {
//		Name       string        `config:",name"`       // the word between the block's name and "{"
//		DefragLWM  int           `config:"defrag-lwm-pct"`
//		FlushMax   time.Duration `config:"flush-max-ms"` // unit by the table or the name's ending
//		DataSize   int64         `config:"data-size" range:"512M-256T" default:"0" dynamic:"true"`
//		Files      []string      `config:"file"`           // a list: repeated lines
//		Storage    storage.Options `config:"storage-engine"` // a block
//		Namespaces []engine.Options `config:"namespace"`     // a repeated block
//		Embedded                                           // untagged: its fields stand here
//	}
//
// range, default, enum ("a|b|c") and dynamic count only for extensions; the
// table rules for what the original knows. A field of an Options struct that
// already holds a value keeps it unless the file sets the parameter. Kinds of
// fields: bool, every integer, time.Duration, string, []string, and types with
// UnmarshalText. Bounds between parameters are the owner's validate.
//
// Every mistake of a file is reported at once, each with its line.
package config
