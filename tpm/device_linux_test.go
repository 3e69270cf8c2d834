package tpm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// fakeDevice is a device file as we see it, and the driver's end of it: messages keep their bounds, as the driver's do.
func fakeDevice(t *testing.T) (link, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "/dev/fake"), os.NewFile(uintptr(fds[1]), "driver")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	l, err := newDevice(ours)
	if err != nil {
		t.Fatal(err)
	}
	if !l.(*device).pollable {
		t.Fatal("the fake device cannot be polled, so this test proves nothing")
	}
	return l, theirs
}

func TestDeviceExchanges(t *testing.T) {
	l, driver := fakeDevice(t)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := driver.Read(buf)
			if err != nil {
				return
			}
			driver.Write(response(tpm2.TPMRCSuccess, buf[:n]))
		}
	}()
	for _, size := range []int{10, 500, 4000} {
		cmd := bytes.Repeat([]byte{byte(size)}, size)
		rsp, err := l.exchange(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		if want := response(tpm2.TPMRCSuccess, cmd); !bytes.Equal(rsp, want) {
			t.Errorf("a command of %d bytes is answered with %d bytes, want %d", size, len(rsp), len(want))
		}
	}
}

func TestDeviceWaitIsCutShortAndResumed(t *testing.T) {
	l, driver := fakeDevice(t)
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	go func() { driver.Read(make([]byte, 4096)); close(started); cancel() }()
	if _, err := l.exchange(ctx, []byte("slow")); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	<-started
	want := response(tpm2.TPMRCSuccess, []byte("late"))
	if _, err := driver.Write(want); err != nil {
		t.Fatal(err)
	}
	got, err := l.resume(t.Context())
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("resumed to %x, error %v; want %x", got, err, want)
	}
}

func TestDeviceThatGoesAway(t *testing.T) {
	l, driver := fakeDevice(t)
	driver.Close()
	if _, err := l.exchange(t.Context(), []byte("x")); fail.KindOf(err) != fail.NoTPM || !strings.Contains(err.Error(), "/dev/fake has gone away") {
		t.Errorf("error %v of kind %q", err, fail.KindOf(err))
	}
}

func TestDeviceErrorsHaveKindsAndHints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tpm0")
	if err := os.WriteFile(path, nil, 0o660); err != nil {
		t.Fatal(err)
	}
	for errno, tt := range map[unix.Errno]struct {
		kind fail.Kind
		hint string
	}{
		unix.ENOENT: {fail.NoTPM, "dmesg"},
		unix.ENXIO:  {fail.NoTPM, "dmesg"},
		unix.ENODEV: {fail.NoTPM, "dmesg"},
		unix.EBUSY:  {fail.TPMBusy, "/tpmrm0, "},
		unix.EACCES: {fail.Permission, path + " belongs to "},
		unix.EPERM:  {fail.Permission, path + " belongs to "},
	} {
		err := deviceError(path, &fs.PathError{Op: "open", Path: path, Err: errno})
		hints := strings.Join(fail.HintsOf(err), "\n")
		if fail.KindOf(err) != tt.kind || !strings.Contains(hints, tt.hint) {
			t.Errorf("%v: %v of kind %q with hints %q, want kind %q and %q", errno, err, fail.KindOf(err), hints, tt.kind, tt.hint)
		}
	}
}

func TestABusyDeviceIsSharedByTheManagerBesideIt(t *testing.T) {
	for path, want := range map[string]string{
		"/dev/tpm0": "dev:/dev/tpmrm0,", "/dev/tcm0": "dev:/dev/tcmrm0,", "/dev/tpm1": "dev:/dev/tpmrm1,", "/dev/other": "dev:/dev/tpmrm0,",
	} {
		hints := fail.HintsOf(deviceError(path, &fs.PathError{Op: "open", Path: path, Err: unix.EBUSY}))
		if len(hints) != 2 || !strings.Contains(hints[0], want) || !strings.Contains(hints[1], path) {
			t.Errorf("%s: hints %q, want %q", path, hints, want)
		}
	}
}

func TestADeviceThatIsNotThereMayBeATPMOrATCM(t *testing.T) {
	for _, path := range []string{"/dev/tpm0", "/dev/tcm0"} {
		err := deviceError(path, &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT})
		hints := strings.Join(fail.HintsOf(err), "\n")
		if !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(hints, "grep -i -e tpm -e tcm") {
			t.Errorf("%s: %v, hints %q", path, err, hints)
		}
	}
}
