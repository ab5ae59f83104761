package ioring_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ashlardb/ashlar/ioring"
)

// A loop writes a block, durably, and reads it back when that is done.
func ExampleNew() {
	runtime.LockOSThread() // the queue belongs to this thread
	defer runtime.UnlockOSThread()

	dir, err := os.MkdirTemp("", "ioring")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	device, err := ioring.OpenDevice(filepath.Join(dir, "data"), ioring.DeviceOptions{Size: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	arena, err := ioring.NewArena(1<<20, ioring.ArenaOptions{})
	if err != nil {
		log.Fatal(err)
	}
	queue, err := ioring.New(ioring.Options{Node: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Close()
	file, err := queue.Attach(device)
	if err != nil {
		log.Fatal(err)
	}

	block := arena.Get(4096)
	copy(block, "hello, drive")
	done := false
	read := ioring.Op{Kind: ioring.Read, File: file, Buf: block, Done: func(o *ioring.Op) {
		fmt.Printf("read %d bytes: %s\n", o.Result, o.Buf[:12])
		done = true
	}}
	write := ioring.Op{Kind: ioring.Write, Flags: ioring.DSync, File: file, Buf: block, Done: func(o *ioring.Op) {
		fmt.Printf("wrote %d bytes\n", o.Result)
		clear(block)
		queue.Submit(&read)
	}}
	queue.Submit(&write)
	for !done {
		if _, err := queue.Poll(time.Second); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// wrote 4096 bytes
	// read 4096 bytes: hello, drive
}
