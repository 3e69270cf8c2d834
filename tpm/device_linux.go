package tpm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// systemTargets is the order of auto: the kernel's resource manager before the bare device, a TPM before a TCM (the
// name that drivers for GM/T 0012 chips give the same interface).
var systemTargets = []Target{
	{Scheme: Dev, Path: "/dev/tpmrm0"}, {Scheme: Dev, Path: "/dev/tcmrm0"},
	{Scheme: Dev, Path: "/dev/tpm0"}, {Scheme: Dev, Path: "/dev/tcm0"},
}

// device is a Linux TPM character device in non-blocking mode: a write enqueues the command, and the file becomes
// readable with the answer.
type device struct {
	file     *os.File
	raw      syscall.RawConn
	pollable bool // false before Linux 4.20, where a write waits for the answer
}

func openDevice(path string) (link, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, deviceError(path, err)
	}
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		return nil, errors.Join(fail.E(fail.Usage, "%s is not a character device", path).
			Hint("a TPM device is /dev/tpmrm0 or /dev/tpm0; an emulator's socket is swtpm:%s", path), f.Close())
	}
	return newDevice(f)
}

func newDevice(f *os.File) (link, error) {
	raw, err := f.SyscallConn()
	return &device{file: f, raw: raw, pollable: f.SetDeadline(time.Time{}) == nil}, err
}

// deviceError gives an error of open(2) its kind and says what to do about it.
func deviceError(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok { // our message names the path
		err = e.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fail.E(fail.NoTPM, "%s: %w", path, err).
			Hint("no TPM driver serves this device; `dmesg | grep -i -e tpm -e tcm` says whether the kernel found one")
	case errors.Is(err, unix.EBUSY):
		return fail.E(fail.TPMBusy, "%s is held by another program", path).
			Hint("use the kernel's resource manager, --tpm dev:%s, which many programs can share", managerOf(path)).
			Hint("`fuser -v %s` names the program", path)
	case errors.Is(err, fs.ErrPermission):
		return fail.E(fail.Permission, "%s may not be opened by this user: %w", path, err).Hint("%s", accessHint(path))
	}
	return fail.E(fail.Failed, "%w", err)
}

// managerOf is the device of the kernel's resource manager beside a bare one: a TCM's has another name than a TPM's.
func managerOf(path string) string {
	dir, name := filepath.Split(path)
	for _, kind := range []string{"tpm", "tcm"} {
		if n, ok := strings.CutPrefix(name, kind); ok && n != "" && !strings.HasPrefix(n, "rm") {
			return dir + kind + "rm" + n
		}
	}
	return "/dev/tpmrm0"
}

// accessHint names who may open the device: distributions give it to a group, most often tss.
func accessHint(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "run it as root"
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "run it as root"
	}
	owner, group, mode := userName(s.Uid), groupName(s.Gid), info.Mode().Perm()
	const groupReadWrite = 0o060
	if s.Gid != 0 && mode&groupReadWrite == groupReadWrite {
		return fmt.Sprintf("%s belongs to %s:%s; join the group (usermod -aG %s USER, then log in again) or run as root",
			path, owner, group, group)
	}
	return fmt.Sprintf("%s belongs to %s:%s with mode %04o; run as root", path, owner, group, mode)
}

func userName(uid uint32) string {
	if u, err := user.LookupId(fmt.Sprint(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprint(uid)
}

func groupName(gid uint32) string {
	if g, err := user.LookupGroupId(fmt.Sprint(gid)); err == nil {
		return g.Name
	}
	return fmt.Sprint(gid)
}

// exchange writes from inside the wait for readability, after the runtime's poller has been armed and before anything
// was read: while a command runs, the driver makes both read(2) and poll(2) wait for it where no signal reaches, so
// the only wait that can be cut short is the poller's, for the wake-up that comes with the answer.
func (d *device) exchange(ctx context.Context, command []byte) ([]byte, error) {
	if !d.pollable {
		return d.exchangeBlocking(command)
	}
	return d.wait(ctx, func(fd int) (rsp []byte, err error) {
		if command == nil {
			return readAnswer(fd)
		}
		_, err = unix.Write(fd, command)
		command = nil
		return nil, err
	})
}

func (d *device) resume(ctx context.Context) ([]byte, error) { return d.wait(ctx, readAnswer) }

// wait calls step, then again whenever the device has become readable, until step has an answer or an error.
func (d *device) wait(ctx context.Context, step func(fd int) ([]byte, error)) (rsp []byte, err error) {
	var stepErr error
	err = interruptible(ctx, d.file, func() error {
		return d.raw.Read(func(fd uintptr) (done bool) {
			rsp, stepErr = step(int(fd))
			return rsp != nil || stepErr != nil
		})
	})
	return rsp, d.ioError(errors.Join(stepErr, err))
}

func (d *device) exchangeBlocking(command []byte) (rsp []byte, err error) {
	ctlErr := d.raw.Control(func(fd uintptr) {
		if _, err = unix.Write(int(fd), command); err == nil {
			rsp, err = readAnswer(int(fd))
		}
	})
	return rsp, d.ioError(errors.Join(err, ctlErr))
}

// readAnswer reads a whole answer, or nothing when none is there yet.
func readAnswer(fd int) ([]byte, error) {
	buf := make([]byte, maxMessage)
	n, err := unix.Read(fd, buf)
	switch {
	case errors.Is(err, unix.EAGAIN), err == nil && n == 0: // the driver's read gives 0 bytes where others say EAGAIN
		return nil, nil
	case err != nil:
		return nil, err
	}
	return buf[:n], nil
}

func (d *device) ioError(err error) error {
	var errno unix.Errno
	switch {
	case err == nil || !errors.As(err, &errno):
		return err
	case errno == unix.EBUSY:
		return deviceError(d.file.Name(), errno)
	case errno == unix.ENODEV || errno == unix.EPIPE:
		return fail.E(fail.NoTPM, "%s has gone away: %w", d.file.Name(), err)
	}
	return fail.E(fail.Failed, "%s: %w", d.file.Name(), err).
		Hint("the driver could not talk to the TPM; `dmesg | grep -i tpm` has its words")
}

func (d *device) close() error { return d.file.Close() }
