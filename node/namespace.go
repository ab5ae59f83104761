package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/ioring"
	"github.com/ashlardb/ashlar/node/txn"
)

// namespace is an open namespace with what belongs to it.
type namespace struct {
	*engine.Namespace
	devices []*ioring.Device
	txn     *txn.Namespace

	stop func() error // ends the background
}

// backgroundRing configures queues for work beside the loops: a few large
// reads at a time.
func backgroundRing(log *slog.Logger) (ioring.Queue, error) {
	return ioring.New(ioring.Options{Entries: 256, Limit: 1024, Node: -1, Log: log})
}

// now tells the time as records count it.
func now() record.Time { return record.Time(time.Now().UnixMilli() - record.EpochUnix*1000) }

// openNamespace opens the devices and, by a cold start, what is on them. It
// takes as long as reading the devices takes.
func openNamespace(o engine.Options, log *slog.Logger) (*namespace, error) {
	devices, err := openDevices(&o, log)
	if err != nil {
		return nil, fmt.Errorf("node: namespace %s: %w", o.Name, err)
	}
	ns := &namespace{devices: devices}
	err = onThread(func() (err error) {
		ns.Namespace, err = engine.Open(o, engine.Env{
			Devices:  devices,
			NewQueue: func() (ioring.Queue, error) { return backgroundRing(log) },
			Now:      now,
			Log:      log,
		})
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), closeDevices(devices))
	}
	return ns, nil
}

// onThread runs f on a thread of its own, as queues want it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- f()
	}()
	return <-done
}

// openDevices opens what the storage options name.
func openDevices(o *engine.Options, log *slog.Logger) (devices []*ioring.Device, err error) {
	st := &o.Storage
	if st.Type == engine.StorageMemory {
		return nil, nil
	}
	open := func(path string, d ioring.DeviceOptions) error {
		dev, err := openDevice(path, d, log)
		if err != nil {
			return err
		}
		devices = append(devices, dev)
		if !dev.Direct && !d.Buffered {
			log.Warn("no direct I/O there: reads and writes go through the page cache", "namespace", o.Name, "path", path)
		}
		return nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeDevices(devices))
		}
	}()
	for _, path := range st.Devices {
		if err := open(path, ioring.DeviceOptions{Exclusive: true, Buffered: st.ReadPageCache}); err != nil {
			return devices, err
		}
	}
	for _, path := range st.Files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return devices, err
		}
		if err := open(path, ioring.DeviceOptions{Size: st.Filesize, Exclusive: true, Buffered: !st.DirectFiles}); err != nil {
			return devices, err
		}
	}
	return devices, nil
}

const (
	// lockWait is how long a start waits for a device that another process
	// still holds: the kernel releases what was in a dead process's rings a
	// little after the process is gone.
	lockWait = 5 * time.Second
	lockNap  = 20 * time.Millisecond
)

// openDevice opens one device, as soon as a predecessor has let go of it.
func openDevice(path string, d ioring.DeviceOptions, log *slog.Logger) (*ioring.Device, error) {
	for began, told := time.Now(), false; ; time.Sleep(lockNap) {
		dev, err := ioring.OpenDevice(path, d)
		held := errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EBUSY)
		if err == nil || !held || time.Since(began) > lockWait {
			return dev, err
		}
		if !told {
			told = true
			log.Info("waiting for another process to let go of a device", "path", path, "reason", err)
		}
	}
}

func closeDevices(devices []*ioring.Device) error {
	var errs []error
	for _, d := range devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// startBackground starts defrag and expiry.
func (ns *namespace) startBackground(log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := ns.Supervise(ctx)
		if err != nil {
			log.Error("defrag and expiry have ended", "namespace", ns.Name(), "error", err)
		}
		done <- err
	}()
	ns.stop = func() error {
		cancel()
		return <-done
	}
}

// close ends the background, marks the devices and closes them. The loops are
// closed already.
func (ns *namespace) close() error {
	var errs []error
	if ns.stop != nil {
		errs = append(errs, ns.stop())
	}
	errs = append(errs, onThread(ns.Close), closeDevices(ns.devices))
	return errors.Join(errs...)
}
