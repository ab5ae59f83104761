package storage

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/ashlardb/ashlar/ioring"
)

// errQueue says that the queue itself has failed: nothing more works on it.
var errQueue = errors.New("the queue is broken")

// transfer moves all of buf to or from a device and waits for it: for set-up
// and closing, where nothing else has to go on. It may be used on any queue
// that its thread owns; Dones of others run meanwhile.
func transfer(q ioring.Queue, kind ioring.Kind, flags ioring.Flags, file ioring.File, block int, offset int64, buf []byte) error {
	op := &ioring.Op{Kind: kind, Flags: flags, File: file}
	done := false
	op.Done = func(*ioring.Op) { done = true }
	for moved, retries := 0, 0; moved < len(buf); {
		op.Offset, op.Buf = offset+int64(moved), buf[moved:]
		done = false
		q.Submit(op)
		for !done {
			if _, err := q.Poll(pollWait); err != nil {
				return errors.Join(errQueue, err)
			}
		}
		n := int(op.Result)
		switch errno := syscall.Errno(-n); {
		case n < 0 && errno != syscall.EAGAIN && errno != syscall.EINTR:
			return fmt.Errorf("at %d: %w", op.Offset, errno)
		case n < block:
			if retries++; retries > maxRetries {
				return fmt.Errorf("at %d: %w", op.Offset, io.ErrNoProgress)
			}
		default:
			moved += n &^ (block - 1)
		}
	}
	return nil
}

// setup is a device during Open and Close: with its File on their queue.
type setup struct {
	q    ioring.Queue
	file ioring.File
	d    *device
}

func (u *setup) read(offset int64, buf []byte) error {
	if err := transfer(u.q, ioring.Read, 0, u.file, u.d.block, offset, buf); err != nil {
		return fmt.Errorf("storage: %s: read: %w", u.d.name, err)
	}
	return nil
}

func (u *setup) write(offset int64, buf []byte) error {
	if err := transfer(u.q, ioring.Write, ioring.DSync, u.file, u.d.block, offset, buf); err != nil {
		return fmt.Errorf("storage: %s: write: %w", u.d.name, err)
	}
	return nil
}

// sync empties the device's volatile cache.
func (u *setup) sync() error {
	op := &ioring.Op{Kind: ioring.Fsync, File: u.file}
	done := false
	op.Done = func(*ioring.Op) { done = true }
	u.q.Submit(op)
	for !done {
		if _, err := u.q.Poll(pollWait); err != nil {
			return fmt.Errorf("storage: %s: sync: %w", u.d.name, err)
		}
	}
	if op.Result < 0 {
		return fmt.Errorf("storage: %s: sync: %w", u.d.name, syscall.Errno(-op.Result))
	}
	return nil
}
