package act

import "fmt"

// Class is a kind of operation.
type Class uint8

// Classes.
const (
	Read       Class = iota // a record, or a page of the index
	Write                   // a record with commit-to-device, or a page of the index
	LargeRead               // a block, for defrag
	LargeWrite              // a block of records
	TombRead                // a block, in the order of the device, by the tomb raider
	nClasses
)

// String returns the name of the class's histogram.
func (c Class) String() string {
	return [...]string{"reads", "writes", "large-block-reads", "large-block-writes", "tomb-raider-reads"}[c]
}

// writes reports whether operations of the class write.
func (c Class) writes() bool { return c == Write || c == LargeWrite }

// large reports whether operations of the class move whole blocks.
func (c Class) large() bool { return c >= LargeRead }

// MarshalText implements encoding.TextMarshaler.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Class) UnmarshalText(text []byte) error {
	for each := range nClasses {
		if each.String() == string(text) {
			*c = each
			return nil
		}
	}
	return fmt.Errorf("class %q: want reads, writes, large-block-reads, large-block-writes or tomb-raider-reads", text)
}
