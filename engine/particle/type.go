package particle

import "github.com/ashlardb/ashlar/engine/record"

// Known says whether a bin can hold a value of type t. Null is not known: to
// write it means to delete the bin.
func Known(t record.Type) bool {
	return t < record.Type(len(types)) && types[t].name != "" && t != record.Null
}

// TypeName returns the type's name as the original reports it in its answers
// and logs, "unknown" for types that do not exist.
func TypeName(t record.Type) string {
	if t < record.Type(len(types)) && types[t].name != "" {
		return types[t].name
	}
	return "unknown"
}

// isBytes says whether values of type t are plain bytes that append and
// prepend can extend.
func isBytes(t record.Type) bool { return t < record.Type(len(types)) && types[t].bytes }

var types = [...]struct {
	name  string
	bytes bool
}{
	record.Null:       {name: "null"},
	record.Integer:    {name: "integer"},
	record.Float:      {name: "float"},
	record.String:     {name: "string", bytes: true},
	record.Blob:       {name: "blob", bytes: true},
	record.JavaBlob:   {name: "blob", bytes: true},
	record.CSharpBlob: {name: "blob", bytes: true},
	record.PythonBlob: {name: "blob", bytes: true},
	record.RubyBlob:   {name: "blob", bytes: true},
	record.PHPBlob:    {name: "blob", bytes: true},
	record.ErlangBlob: {name: "blob", bytes: true},
	record.Vector:     {name: "vector", bytes: true},
	record.Bool:       {name: "bool"},
	record.HLL:        {name: "hll"},
	record.Map:        {name: "map"},
	record.List:       {name: "list"},
	record.GeoJSON:    {name: "geo2dsphere"},
}
