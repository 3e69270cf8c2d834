package tpm

import (
	"context"
	"errors"
	"unsafe"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/windows"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// systemTargets is the order of auto.
var systemTargets = []Target{{Scheme: TBS}}

// The functions of Windows' TPM Base Services. The library is taken from the system folder only: one of the same name
// beside the program must not be loaded into a tool that runs elevated.
var (
	tbsDLL            = windows.NewLazySystemDLL("tbs.dll")
	tbsContextCreate  = tbsDLL.NewProc("Tbsi_Context_Create")
	tbsContextClose   = tbsDLL.NewProc("Tbsip_Context_Close")
	tbsSubmitCommand  = tbsDLL.NewProc("Tbsip_Submit_Command")
	tbsCancelCommands = tbsDLL.NewProc("Tbsip_Cancel_Commands")
	tbsGetDeviceInfo  = tbsDLL.NewProc("Tbsi_GetDeviceInfo")
	tbsGetTCGLog      = tbsDLL.NewProc("Tbsi_Get_TCG_Log")
	tbsGetTCGLogEx    = tbsDLL.NewProc("Tbsi_Get_TCG_Log_Ex") // from Windows 10, version 1803
)

// Results that are dealt with here.
const (
	tbsFirstError         = 0x80284000 // below are codes of the TPM and of the filter in front of it
	tbsInsufficientBuffer = 0x80284005
	tbsCommandCanceled    = 0x8028400d
)

// tbsCall calls a function that returns a TBS_RESULT.
func tbsCall(proc *windows.LazyProc, args ...uintptr) error {
	if err := proc.Find(); err != nil {
		return fail.E(fail.NoTPM, "Windows has no TPM Base Services: %w", err)
	}
	result, _, _ := proc.Call(args...)
	if result == 0 {
		return nil
	}
	return tbsError(uint32(result))
}

// tbsError is a failure that TBS itself reports; what the TPM answers comes as a response.
type tbsError uint32

func (e tbsError) explain() Explanation { return Explain(0, tpm2.TPMRC(e)) }

func (e tbsError) Error() string {
	x := e.explain()
	return x.Means + ": " + x.Words()
}

// FailKind makes tbsError a fail.Classified error.
func (e tbsError) FailKind() fail.Kind { return e.explain().Kind }

// FailHints makes tbsError a fail.Classified error.
func (e tbsError) FailHints() []string { return e.explain().Hints }

// tbs is a TBS context. It has its own view of the TPM: handles are virtual, and closing it flushes what was made in it.
type tbs struct{ context uintptr }

func openTBS() (link, error) {
	if err := isTPM20(); err != nil {
		return nil, err
	}
	params := struct{ version, flags uint32 }{version: 2, flags: 1 << 2} // TBS_CONTEXT_PARAMS2 with includeTpm20
	var t tbs
	err := tbsCall(tbsContextCreate, uintptr(unsafe.Pointer(&params)), uintptr(unsafe.Pointer(&t.context)))
	if err != nil {
		return nil, err
	}
	return t, nil
}

// isTPM20 asks which TPM there is, because TBS opens a context to a TPM 1.2 as well.
func isTPM20() error {
	var info struct{ structVersion, tpmVersion, interfaceType, revision uint32 } // TPM_DEVICE_INFO
	if err := tbsCall(tbsGetDeviceInfo, unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info))); err != nil {
		return err
	}
	if info.tpmVersion != 2 {
		return fail.E(fail.Unsupported, "Windows sees a TPM 1.2 on this machine").Hint("give the machine a TPM 2.0")
	}
	return nil
}

// exchange waits inside TBS. When ctx ends, TBS is asked to cancel, and still says how the command ended.
func (t tbs) exchange(ctx context.Context, command []byte) ([]byte, error) {
	const localityZero, priorityNormal = 0, 200
	rsp := make([]byte, maxMessage)
	size := uint32(len(rsp))
	stop := context.AfterFunc(ctx, func() { _ = tbsCall(tbsCancelCommands, t.context) })
	defer stop()
	err := tbsCall(tbsSubmitCommand, t.context, localityZero, priorityNormal,
		uintptr(unsafe.Pointer(unsafe.SliceData(command))), uintptr(len(command)),
		uintptr(unsafe.Pointer(unsafe.SliceData(rsp))), uintptr(unsafe.Pointer(&size)))
	refusal, isTBS := errors.AsType[tbsError](err)
	switch {
	case isTBS && refusal == tbsCommandCanceled && ctx.Err() != nil:
		return nil, waitError(ctx)
	case isTBS && refusal>>16 == tbsFacility && refusal < tbsFirstError: // Windows' filter refused the command: most versions say so in an answer
		return wire.NewBE().U16(uint16(tpm2.TPMSTNoSessions)).U32(headerSize).U32(uint32(refusal)).Out(), nil
	case err != nil:
		return nil, err
	}
	return rsp[:min(size, maxMessage)], nil
}

func (t tbs) resume(context.Context) ([]byte, error) { return nil, errNothingOwed }

func (t tbs) close() error { return tbsCall(tbsContextClose, t.context) }

// logLimit bounds an event log that Windows announces.
const logLimit = 16 << 20

// MeasuredBootLog is an event log as Windows keeps it (a TCG log with Microsoft's events, "WBCL").
func MeasuredBootLog(kind BootLog) ([]byte, error) {
	log, err := readLog(func(buf *byte, size *uint32) error {
		return tbsCall(tbsGetTCGLogEx, uintptr(kind), uintptr(unsafe.Pointer(buf)), uintptr(unsafe.Pointer(size)))
	})
	if kind != CurrentBoot || tbsGetTCGLogEx.Find() == nil {
		return log, err
	}
	l, err := openTBS()
	if err != nil {
		return nil, err
	}
	defer l.close()
	return readLog(func(buf *byte, size *uint32) error {
		return tbsCall(tbsGetTCGLog, l.(tbs).context, uintptr(unsafe.Pointer(buf)), uintptr(unsafe.Pointer(size)))
	})
}

// readLog asks for the size, then for the log; a resume from hibernation may make it grow in between.
func readLog(get func(buf *byte, size *uint32) error) ([]byte, error) {
	var log []byte
	for range 4 {
		size := uint32(len(log))
		err := get(unsafe.SliceData(log), &size)
		if err == nil && int(size) <= len(log) {
			return log[:size], nil
		}
		if err != nil && !errors.Is(err, tbsError(tbsInsufficientBuffer)) {
			return nil, err
		}
		if size == 0 || size > logLimit {
			return nil, fail.E(fail.BadInput, "Windows announces an event log of %d bytes", size)
		}
		log = make([]byte, size)
	}
	return nil, fail.E(fail.Temporary, "Windows' event log grows while it is read").Hint("%s", adviseAgain)
}
