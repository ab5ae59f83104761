package hash

import (
	"fmt"
	"os"
	"strings"
)

// EnvPath is the environment variable that forces a path: generic, bmi, avx2,
// avx512 or neon.
const EnvPath = "ASHLAR_ARCH"

// path is one choice of kernels.
type path struct {
	name      string // as in EnvPath
	available bool   // this processor can run it
	impl      string // as Impl shows it
	use       func()
}

var (
	impl    string
	errPath error
)

func init() {
	all := paths()
	for _, p := range all { // the last available one is the best
		if p.available {
			p.use()
			impl = p.impl
		}
	}
	if name := os.Getenv(EnvPath); name != "" {
		errPath = force(name)
	}
}

// force chooses the path called name.
func force(name string) error {
	var names []string
	for _, p := range paths() {
		if p.name == name {
			if !p.available {
				return fmt.Errorf("%s=%s: this processor lacks what that path needs", EnvPath, name)
			}
			p.use()
			impl = p.impl
			return nil
		}
		names = append(names, p.name)
	}
	return fmt.Errorf("%s=%s: want one of %s on this machine", EnvPath, name, strings.Join(names, ", "))
}

// Impl names the kernels in use, for the log: "ripemd160: bmi, avx512x32;
// crc32c: vpclmulqdq".
func Impl() string { return "ripemd160: " + impl + "; crc32c: " + implCRC32C() }

// Err reports what was wrong with the environment's choice of a path, so that
// a program can refuse to start. The best path is in use then.
func Err() error { return errPath }
