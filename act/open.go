package act

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ashlardb/ashlar/ioring"
)

// ErrUnsafe says that a device was refused to protect what may be on it.
var ErrUnsafe = errors.New("refused")

// opened is a device that may be loaded.
type opened struct {
	dev   *ioring.Device
	drive Drive
	label *label
	fresh bool // a file that was just made
}

// access says what a command means to do with devices.
type access struct {
	write     bool
	prepare   bool // writes all of it, and may find it empty
	confirm   []string
	overwrite bool  // of known signatures
	fileSize  int64 // above 0: files, brought to this size
}

// openAll opens devices and makes sure that what is asked for hurts nobody.
func openAll(paths []string, a access) (out []*opened, err error) {
	var errs []error
	for _, path := range paths {
		o, err := open(path, a)
		if err != nil {
			errs = append(errs, fmt.Errorf("act: %w", err))
			continue
		}
		out = append(out, o)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, closeAll(out))
	}
	return out, nil
}

func closeAll(list []*opened) error {
	var errs []error
	for _, o := range list {
		errs = append(errs, o.dev.Close())
	}
	return errors.Join(errs...)
}

func open(path string, a access) (_ *opened, err error) {
	if a.write {
		if err := refuseRoot(path); err != nil {
			return nil, err
		}
	}
	_, statErr := os.Stat(path)
	o := &opened{fresh: errors.Is(statErr, os.ErrNotExist) && a.fileSize > 0 && a.write}
	options := ioring.DeviceOptions{ReadOnly: !a.write, Exclusive: a.write}
	if o.fresh {
		options.Size, options.Fill = a.fileSize, true
	}
	if o.dev, err = openPatiently(path, options); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.dev.Close())
		}
	}()
	o.drive = Drive{Path: path, Size: o.dev.Size, Sector: o.dev.Block, Raw: o.dev.Raw, Direct: o.dev.Direct, Node: o.dev.Node}
	o.drive.describe()
	if a.fileSize > 0 && !o.dev.Raw && o.dev.Size < a.fileSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, file-size-mbytes asks for %d: remove it to have it made anew", ErrUnsafe, path, o.dev.Size, a.fileSize)
	}
	k, err := lookAt(o.dev)
	if err != nil {
		return nil, err
	}
	if o.label = k.label; k.label != nil {
		o.drive.Label = k.label.at.UTC().Format(time.RFC3339)
	}
	return o, o.permit(k, a)
}

// The kernel lets go of a ring's registered files some time after the ring was
// closed: a device that we have just used is busy for a moment.
const (
	busyFor  = 2 * time.Second
	busyWait = 10 * time.Millisecond
)

func openPatiently(path string, o ioring.DeviceOptions) (*ioring.Device, error) {
	for begin := time.Now(); ; time.Sleep(busyWait) {
		d, err := ioring.OpenDevice(path, o)
		busy := errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EWOULDBLOCK)
		if !busy || time.Since(begin) > busyFor {
			return d, err
		}
	}
}

// permit decides whether a device may be used so.
func (o *opened) permit(k look, a access) error {
	d := &o.drive
	if a.write && !o.fresh {
		if k.signature != "" && !a.overwrite {
			return fmt.Errorf("%w: %s (%s, serial %q, %d bytes) holds %s: --overwrite-signature allows to destroy it", ErrUnsafe, d.Path, d.Model, d.Serial, d.Size, k.signature)
		}
		if !slices.Contains(a.confirm, d.Name) {
			return fmt.Errorf("%w: writing to %s (model %q, serial %q, %d bytes) destroys what is on it: name it a second time, with --confirm %s", ErrUnsafe, d.Path, d.Model, d.Serial, d.Size, d.Name)
		}
		if k.label == nil && !a.prepare && !a.overwrite {
			return fmt.Errorf("%w: %s was not prepared: run act prep first, or load it as it is with --overwrite-signature", ErrUnsafe, d.Path)
		}
	}
	if o.dev.Raw || a.prepare || o.fresh {
		return nil
	}
	known, err := checkWritten(o.dev.FD, o.dev.Size)
	if err == nil && !known && o.dev.Space == ioring.SpaceSparse {
		err = errNotWritten
	}
	if err != nil {
		return fmt.Errorf("%w: %s %w: reads of it would not reach the drive; act prep writes it", ErrUnsafe, d.Path, err)
	}
	return nil
}

// refuseRoot refuses the disk that the system runs from, partitions and all.
func refuseRoot(path string) error {
	_, disk, ok := sysfs(path)
	if !ok {
		return nil
	}
	for _, mount := range []string{"/", "/boot", "/boot/efi"} {
		var st unix.Stat_t
		if unix.Stat(mount, &st) != nil {
			continue
		}
		own, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
		if err == nil && (own == disk || filepath.Dir(own) == disk) {
			return fmt.Errorf("%w: %s is on the disk that holds %s", ErrUnsafe, path, mount)
		}
	}
	return nil
}
