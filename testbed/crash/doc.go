// Package crash runs the real binary under the official Go client, kills it,
// and looks at what is left.
//
//	writers ─▶ client ─▶ ashlar node ─▶ file
//	   │                     ▲
//	   │ what was            │ kill -9, start again
//	   ▼ acknowledged        │
//	 model ── compare ◀── read everything
//
// The package holds tests only. "go test ./testbed/crash -rounds 1000" kills
// longer than an ordinary run does.
package crash
