package host

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Where Linux shows what was measured. The size of these files is always given as 0.
var (
	firmwareLogs = []string{
		"sys/kernel/security/tpm0/binary_bios_measurements",
		"sys/kernel/security/tcm0/binary_bios_measurements",
		"sys/firmware/acpi/tables/data/CCEL", // confidential guests without a TPM
	}
	imaLogs     = []string{"sys/kernel/security/ima/binary_runtime_measurements", "sys/kernel/security/integrity/ima/binary_runtime_measurements"}
	systemdLogs = []string{"run/log/systemd/tpm2-measure.log"}
)

// measuredBoot is where Windows keeps the logs of past boots and resumes: BOOT-RESUME.log, ten digits each.
const measuredBoot = "Windows/Logs/MeasuredBoot"

// EventLog reads the firmware's event log of the running system, of at most limit bytes, and says where it was found. On
// Windows that is the value in the registry, or the newest file in the MeasuredBoot folder.
func (h Host) EventLog(limit int64) (data []byte, source string, err error) {
	if h.wbcl != nil {
		if data := h.wbcl(); len(data) > 0 && int64(len(data)) <= limit {
			return data, `HKLM\SYSTEM\CurrentControlSet\Control\IntegrityServices\WBCL`, nil
		}
	}
	if h.OS == "windows" {
		return h.measuredBootLog(limit)
	}
	data, source, err = h.first(firmwareLogs, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", h.noLog()
	}
	return data, source, err
}

// IMALog reads the kernel's list of measured files.
func (h Host) IMALog(limit int64) (data []byte, source string, err error) {
	data, source, err = h.first(imaLogs, limit)
	if errors.Is(err, fs.ErrNotExist) {
		err = fail.E(fail.MissingInput, "this kernel keeps no IMA measurement list").
			Hint("name a file, or boot with a measuring policy such as ima_policy=tcb")
	}
	return data, source, err
}

// SystemdLog reads what systemd's tools measured since the kernel started.
func (h Host) SystemdLog(limit int64) (data []byte, source string, err error) {
	data, source, err = h.first(systemdLogs, limit)
	if errors.Is(err, fs.ErrNotExist) {
		err = fail.E(fail.MissingInput, "systemd has measured nothing: there is no /%s", systemdLogs[0])
	}
	return data, source, err
}

// first reads the first file that is there. What may not be read is an error of its own: the log exists, for root.
func (h Host) first(paths []string, limit int64) ([]byte, string, error) {
	for _, p := range paths {
		data, err := h.read(p, limit)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, "", fail.E(fail.Permission, "/%s may be read by root only", p).Hint("run the same command with sudo")
		case err == nil && len(data) > 0:
			return data, "/" + p, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, "", err
		}
	}
	return nil, "", fs.ErrNotExist
}

// read reads to the end of a file, whatever size the system claims.
func (h Host) read(p string, limit int64) ([]byte, error) {
	f, err := h.Root.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was opened for reading
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fail.E(fail.BadInput, "/%s has more than %d bytes", p, limit)
	}
	return data, err
}

// noLog tells why Linux has no log. The common case is a TPM with extended PCRs and no log: a loader that starts the
// kernel without its EFI stub leaves the log behind.
func (h Host) noLog() error {
	entries, _ := fs.ReadDir(h.Root, "sys/kernel/security")
	switch _, err := fs.Stat(h.Root, "sys/class/tpm/tpm0"); {
	case err != nil:
		return fail.E(fail.MissingInput, "there is no event log, and no TPM either").
			Hint("name a file, or - for stdin")
	case len(entries) == 0:
		return fail.E(fail.MissingInput, "there is a TPM, but securityfs is not mounted").
			Hint("mount -t securityfs securityfs /sys/kernel/security")
	}
	return fail.E(fail.MissingInput, "there is a TPM, but the kernel was handed no event log").
		Hint("GRUB's \"linux\" command without Secure Boot starts the kernel without its EFI stub, and the log is lost").
		Hint("the PCRs are extended all the same: vtpmctl pcr read")
}

// measuredBootLog reads the file of the newest boot and resume.
func (h Host) measuredBootLog(limit int64) ([]byte, string, error) {
	entries, err := fs.ReadDir(h.Root, measuredBoot)
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(strings.ToLower(e.Name()), ".log") {
			names = append(names, e.Name())
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, "", fail.E(fail.Permission, "the MeasuredBoot folder may be read by administrators only").Hint("run it elevated")
	case len(names) == 0:
		return nil, "", fail.E(fail.MissingInput, "Windows has recorded no measured boot").Hint("name a file, or - for stdin")
	}
	newest := path.Join(measuredBoot, slices.Max(names)) // the names are counters with leading zeroes
	data, err := h.read(newest, limit)
	return data, newest, err
}
