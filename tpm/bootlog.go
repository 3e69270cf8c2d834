package tpm

// BootLog chooses one of the event logs that Windows keeps (TBS_TCGLOG_TYPE).
type BootLog uint32

// The logs.
const (
	CurrentBoot   BootLog = iota // since the last power-on or resume
	CurrentLaunch                // of the dynamic root of trust
	LastCleanBoot                // of the last power-on, before any resume
	LastResume                   // of the last resume from hibernation
)
