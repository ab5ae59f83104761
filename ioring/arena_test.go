package ioring

import (
	"errors"
	"testing"
	"unsafe"
)

func TestArenaClasses(t *testing.T) {
	a := newArena(t, 1<<20)
	for _, tt := range []struct{ n, class int }{
		{1, 4096}, {4095, 4096}, {4096, 4096}, {4097, 8192}, {8192, 8192},
		{12288, 16384}, {65536, 65536}, {65537, 131072}, {1 << 20, 1 << 20},
	} {
		b := a.Get(tt.n)
		if len(b) != tt.n || cap(b) != tt.class {
			t.Errorf("Get(%d): length %d, capacity %d, want %d, %d", tt.n, len(b), cap(b), tt.n, tt.class)
			continue
		}
		if at := uintptr(unsafe.Pointer(&b[0])); at%4096 != 0 {
			t.Errorf("Get(%d): at %#x, want a multiple of 4096", tt.n, at)
		}
		if a.InUse() != tt.class {
			t.Errorf("after Get(%d): %d in use, want %d", tt.n, a.InUse(), tt.class)
		}
		a.Put(b[:0])
		if a.InUse() != 0 {
			t.Errorf("after Put: %d in use, want 0", a.InUse())
		}
	}
}

func TestArenaLimit(t *testing.T) {
	for _, tt := range []struct {
		name    string
		size, n int
		want    int // how many fit
	}{
		{"all small", 64 << 12, 4096, 64},
		{"all of it", 64 << 12, 64 << 12, 1},
		{"more than all", 64 << 12, 64<<12 + 1, 0},
		{"odd size", 100<<12 + 1, 4096, 101},
		{"odd size, large", 7 << 20, 4 << 20, 1},
		{"odd size, middle", 7 << 20, 1 << 20, 7},
		{"far more than any class", 1 << 20, 1 << 50, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newArena(t, tt.size)
			var got [][]byte
			for b := a.Get(tt.n); b != nil; b = a.Get(tt.n) {
				got = append(got, b)
			}
			if len(got) != tt.want {
				t.Errorf("%d blocks of %d bytes fit, want %d", len(got), tt.n, tt.want)
			}
			for _, b := range got {
				a.Put(b)
			}
			if tt.want > 0 && a.Get(tt.n) == nil {
				t.Error("nothing fits after all was put back")
			}
		})
	}
}

// TestArenaAgainstModel gives out and takes back at random. No two blocks may
// overlap, contents stay, and in the end all of the memory is one again.
func TestArenaAgainstModel(t *testing.T) {
	r := newRand(t)
	const size = 4 << 20
	a := newArena(t, size)
	type block struct {
		b    []byte
		fill byte
	}
	var held []block
	inUse := 0
	check := func(h block) {
		for i := 0; i < len(h.b); i += 512 {
			if h.b[i] != h.fill {
				t.Fatalf("a block of %d bytes holds %d at %d, want %d: blocks overlap", len(h.b), h.b[i], i, h.fill)
			}
		}
	}
	for step := range 20000 {
		if r.IntN(2) == 0 || len(held) == 0 {
			n := 1 + r.IntN(1<<(r.IntN(21)))
			b := a.Get(n)
			if b == nil {
				if len(held) == 0 {
					t.Fatalf("step %d: Get(%d) of an empty arena of %d fails", step, n, size)
				}
				continue
			}
			h := block{b[:cap(b)], byte(step)}
			for i := range h.b {
				h.b[i] = h.fill
			}
			held = append(held, h)
			inUse += cap(b)
		} else {
			i := r.IntN(len(held))
			h := held[i]
			check(h)
			inUse -= cap(h.b)
			a.Put(h.b)
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
		}
		if a.InUse() != inUse {
			t.Fatalf("step %d: %d in use, want %d", step, a.InUse(), inUse)
		}
	}
	for _, h := range held {
		check(h)
		a.Put(h.b)
	}
	if b := a.Get(size); b == nil {
		t.Error("with nothing in use the whole does not fit: blocks were not joined")
	}
}

func TestArenaFreshIsZero(t *testing.T) {
	a := newArena(t, 3<<20)
	for b := a.Get(8192); b != nil; b = a.Get(8192) {
		for i, c := range b {
			if c != 0 {
				t.Fatalf("a fresh block holds %d at %d", c, i)
			}
		}
		b[0] = 1
	}
}

func TestArenaMisuse(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(a *Arena, b []byte)
	}{
		{"put twice", func(a *Arena, b []byte) { a.Put(b); a.Put(b) }},
		{"put a part", func(a *Arena, b []byte) { a.Put(b[512:]) }},
		{"put the second page", func(a *Arena, b []byte) { a.Put(b[4096:]) }},
		{"put what is not ours", func(a *Arena, _ []byte) { a.Put(make([]byte, 4096)) }},
		{"get nothing", func(a *Arena, _ []byte) { a.Get(0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newArena(t, 1<<20)
			b := a.Get(8192)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			tt.f(a, b)
		})
	}
}

func TestArenaClose(t *testing.T) {
	a := newArena(t, 1<<20)
	b := a.Get(4096)
	if err := a.Close(); err == nil {
		t.Fatal("Close with memory in use: no error")
	}
	a.Put(b)
	if err := a.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestNewArenaErrors(t *testing.T) {
	for _, size := range []int{0, -1, maxArena + 1} {
		if _, err := NewArena(size, ArenaOptions{}); err == nil {
			t.Errorf("NewArena(%d): no error", size)
		}
	}
	refused := errors.New("no such node")
	if _, err := NewArena(4096, ArenaOptions{Bind: func([]byte) error { return refused }}); !errors.Is(err, refused) {
		t.Errorf("NewArena with a failing Bind: %v", err)
	}
	bound := 0
	a, err := NewArena(10000, ArenaOptions{SmallPages: true, Bind: func(mem []byte) error { bound = len(mem); return nil }})
	if err != nil || bound != 12288 || a.Size() != 12288 {
		t.Errorf("NewArena(10000): %v, %d bytes bound, want 12288", err, bound)
	}
}

// TestArenaRegistered: memory the kernel has pinned is not given back.
func TestArenaRegistered(t *testing.T) {
	lockThread(t)
	q := newQueue(t, Options{Entries: 8, Node: -1})
	a := newArena(t, 1<<20)
	for range 2 { // twice is once
		if err := q.Register(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err == nil {
		t.Fatal("Close of an arena that is registered with an open queue: no error")
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("Close after the queue's: %v", err)
	}
}

func TestArenaDoesNotAllocate(t *testing.T) {
	a := newArena(t, 8<<20)
	if n := testing.AllocsPerRun(1000, func() {
		b, c := a.Get(4096), a.Get(1<<20)
		a.Put(b)
		a.Put(c)
	}); n != 0 {
		t.Errorf("Get and Put allocate %v times, want 0", n)
	}
}

func BenchmarkArena(b *testing.B) {
	a := newArena(b, 64<<20)
	var held [64][]byte
	i := 0
	for b.Loop() {
		if held[i] != nil {
			a.Put(held[i])
		}
		held[i] = a.Get(4096 << (i % 5))
		i = (i*5 + 1) % len(held)
	}
}
