package proto

import "bytes"

// NextCommand cuts the first command off the text of an Info message. Each
// command ends with a newline; text after the last newline is no command. ok
// is false when no command is left. A NUL byte ends the command early.
func NextCommand(text []byte) (cmd, rest []byte, ok bool) {
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		return nil, nil, false
	}
	cmd, rest = text[:end], text[end+1:]
	if nul := bytes.IndexByte(cmd, 0); nul >= 0 {
		cmd = cmd[:nul]
	}
	return cmd, rest, true
}

// AppendInfo appends the answer to one command to an Info reply: the command
// as it was sent, a tab, the value, a newline.
func AppendInfo(dst, cmd, value []byte) []byte {
	dst = append(append(dst, cmd...), '\t')
	return append(append(dst, value...), '\n')
}

// SummaryCommands are what an Info message with an empty body asks for, in
// the order of the answers.
var SummaryCommands = []string{
	"features", "node", "compatibility-id", "edition", "build_ee_sha", "build_sha", "build_arch",
	"build_time", "build_os", "build", "version", "statistics", "services-alumni", "services",
	"partition-generation",
}
