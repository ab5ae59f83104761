// Command ashlar is a database node that Aerospike clients use unchanged, and
// the tools around it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/ashlardb/ashlar/act"
	"github.com/ashlardb/ashlar/arch/hash"
	"github.com/ashlardb/ashlar/bench"
	"github.com/ashlardb/ashlar/node"
)

// version is set by the linker: -X main.version=…
var version = "unknown"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ashlar:", err)
		os.Exit(exitCode(err))
	}
}

// run refuses an impossible choice of kernels, then does what was asked.
func run() error {
	if err := hash.Err(); err != nil {
		return err
	}
	return root().ExecuteContext(context.Background())
}

// exitCode returns what an error wants the program to end with: commands of
// measuring tools tell their verdicts apart. All others end with 1.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

// root returns the whole command line.
func root() *cobra.Command {
	b := build()
	cmd := &cobra.Command{
		Use:           "ashlar",
		Short:         "A database node for Aerospike clients, and the tools around it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	act.Version, bench.Version = b.Version, b.Version
	cmd.AddCommand(node.Command(b), act.Command(), bench.Command(), node.InfoCommand(), act.SizeCommand(), versionCommand(b))
	return cmd
}

// build says what this binary is: what the linker was told, and what the
// compiler noted of the source.
func build() node.Build {
	b := node.Build{Version: version}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range bi.Settings {
		switch s.Key {
		case "vcs.revision":
			b.SHA = s.Value
		case "vcs.time":
			b.Time = s.Value
		}
	}
	return b
}

func versionCommand(b node.Build) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ashlar %s (%s, %s/%s)\nkernels: %s\n", b.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, hash.Impl())
			return err
		},
	}
}
