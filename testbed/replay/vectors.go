package replay

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

// sequence is one line of a vector file: requests on one connection.
type sequence struct {
	Name  string
	Steps []step
}

// step is one request and the original's answer.
type step struct {
	Desc string
	Req  hexBytes
	Resp hexBytes // empty: the original closed the connection
	Mask [][2]int // offset and length of parts that follow the clock or the machine
}

type hexBytes []byte

// UnmarshalText reads hexadecimal digits.
func (h *hexBytes) UnmarshalText(text []byte) error {
	*h = make([]byte, hex.DecodedLen(len(text)))
	_, err := hex.Decode(*h, text)
	return err
}

const maxVectorLine = 64 << 20 // bytes

// readVectors reads a vector file.
func readVectors(path string) ([]sequence, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("replay: %s: %w", path, err)
	}
	var all []sequence
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, maxVectorLine)
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			continue // the header, for people
		}
		var s sequence
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("replay: %s line %d: %w", path, n, err)
		}
		all = append(all, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("replay: %s: %w", path, err)
	}
	return all, nil
}
