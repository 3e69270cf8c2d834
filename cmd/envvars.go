package cmd

import (
	"path/filepath"
	"strconv"
)

// envVar is an environment variable that vtpmctl reads. No other is read anywhere.
type envVar struct {
	name, meaning string
}

const (
	envTPM        = "VTPMCTL_TPM"
	envRequireTPM = "VTPMCTL_REQUIRE_TPM"
	envTCTI       = "TPM2TOOLS_TCTI"
	envState      = "VTPMCTL_STATE"

	envEnginePassphrase = "VTPMCTL_ENGINE_PASSPHRASE_FILE"
	envEngineKey        = "VTPMCTL_ENGINE_KEY_FILE"
	envEngineMark       = "VTPMCTL_ENGINE_MARK_FILE"

	envSudoUser = "SUDO_USER"
)

// envVars is the registry that `vtpmctl help environment` prints.
func envVars() []envVar {
	return []envVar{
		{envTPM, "the TPM to use, as --tpm; the flag wins"},
		{envTCTI, "the TPM to use, as tpm2-tools name it; read when " + envTPM + " is not set"},
		{envRequireTPM, "1 forbids the built-in software TPM, as --require-tpm"},
		{envState, "folder of the state of the built-in software TPM"},
		{envEnginePassphrase, "file with the passphrase of that state, if it is encrypted under one"},
		{envEngineKey, "file with the key of that state, if it is encrypted under one that is kept elsewhere"},
		{envEngineMark, "file that remembers the newest version of that state, to notice an older one that is put back; beside it unless set"},
		{"XDG_STATE_HOME, HOME", "where that folder and the baseline are for a user who is not root: vtpmctl below it, or .local/state/vtpmctl"},
		{"LOCALAPPDATA", "where they are on Windows: vtpmctl below it"},
		{"TMPDIR", "where tour makes its scratch folder; TMP on Windows"},
		{"SystemDrive", "on Windows: the drive that the logs of past boots are on"},
		{envSudoUser, "who runs the command, for the history of a baseline"},
		{"NO_COLOR", "not empty: no colour"},
		{"CLICOLOR_FORCE", "not empty and not 0: colour even off a terminal"},
		{"TERM", "dumb: no colour"},
	}
}

func (a *app) defaultTarget() string {
	for _, name := range []string{envTPM, envTCTI} {
		if v := a.Getenv(name); v != "" {
			return v
		}
	}
	return "auto"
}

// flagVar reads a variable that is on or off.
func (a *app) flagVar(name string) bool {
	on, err := strconv.ParseBool(a.Getenv(name))
	return on || err != nil && a.Getenv(name) != ""
}

// engineDir is where the built-in software TPM keeps its state unless a target says otherwise.
func (a *app) engineDir() string {
	if dir := a.Getenv(envState); dir != "" {
		return filepath.Clean(dir)
	}
	return filepath.Join(a.stateRoot(), "engine")
}

// stateRoot is the folder of what outlives a command. It works without HOME.
func (a *app) stateRoot() string {
	for _, dir := range []string{
		a.Getenv("LOCALAPPDATA"), // private to the account, which ProgramData is not
		a.Getenv("XDG_STATE_HOME"),
	} {
		if dir != "" {
			return filepath.Join(dir, "vtpmctl")
		}
	}
	if home := a.Getenv("HOME"); home != "" && home != "/root" && home != "/" {
		return filepath.Join(home, ".local", "state", "vtpmctl")
	}
	return filepath.FromSlash("/var/lib/vtpmctl")
}
