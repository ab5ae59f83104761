//go:build race

package index

const (
	raceEnabled = true
	raceScale   = 4 // by how much tests are smaller under the race detector
)
