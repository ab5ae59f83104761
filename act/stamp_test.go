package act

import "testing"

func TestStampsFindEveryFlippedBit(t *testing.T) {
	f := newFiller(100, 1)
	buf := make([]byte, 4*sector)
	f.fill(buf, 1<<30, 9, newRNG(1, 1))
	if got := verify(buf, 1<<30); got != checkGood {
		t.Fatalf("fresh data is %d", got)
	}
	if got := verify(buf, 1<<30+int64(sector)); got != checkWrong {
		t.Errorf("data of another place is %d", got)
	}
	for bit := range 8 * sector {
		buf[bit/8] ^= 1 << (bit % 8)
		if got := verify(buf, 1<<30); got == checkGood {
			t.Fatalf("bit %d flipped and not noticed", bit)
		}
		buf[bit/8] ^= 1 << (bit % 8)
	}
	if got := verify(make([]byte, sector), 0); got != checkBlank {
		t.Errorf("zeros are %d", got)
	}
}

func TestCompressibility(t *testing.T) {
	for _, pct := range []int{0, 25, 50, 100} {
		f := newFiller(pct, 1)
		zero := 0
		for _, b := range f.pool {
			if b == 0 {
				zero++
			}
		}
		share := 100 * float64(zero) / float64(len(f.pool))
		want := 100 - float64(pct)*(1-1.0/256) // random bytes are zero now and then
		if share < want-1 || share > want+1 {
			t.Errorf("compress-pct %d: %.1f %% zero, want %.1f", pct, share, want)
		}
	}
}

func TestLabel(t *testing.T) {
	buf := make([]byte, labelSize)
	want := label{end: 1 << 40, seed: 5}
	want.encode(buf)
	got, err := decodeLabel(buf)
	if err != nil || got.end != want.end || got.seed != want.seed {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	for i := range buf {
		buf[i] ^= 1
		if _, err := decodeLabel(buf); err == nil {
			t.Fatalf("byte %d damaged and not noticed", i)
		}
		buf[i] ^= 1
	}
	if _, err := decodeLabel(nil); err == nil {
		t.Error("an empty label is one")
	}
}
