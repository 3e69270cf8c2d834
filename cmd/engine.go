package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/tpm"
)

func (a *app) engineCommand() *cobra.Command {
	return noun("engine", "make, look at, reset and serve the built-in software TPM",
		a.engineInitCommand(), a.engineInfoCommand(), a.engineResetCommand(), a.engineServeCommand(), a.emulateCommand())
}

// engineFolder is the state folder that --tpm names, the default one for auto.
func (a *app) engineFolder() (string, error) {
	t, err := tpm.ParseTarget(a.target)
	switch {
	case err != nil:
		return "", err
	case t.Scheme == tpm.Engine:
		return t.Path, nil
	case t.Scheme == tpm.Auto:
		return a.engineDir(), nil
	}
	return "", fail.E(fail.Usage, "%s is not the built-in software TPM", t).Hint("--tpm engine:FOLDER names its state")
}

// engineKey is what the state of the engine is encrypted under, from the files that the environment names.
func (a *app) engineKey() (engine.FileOptions, error) {
	return a.keyFromFiles(a.Getenv(envEnginePassphrase), a.Getenv(envEngineKey))
}

func (a *app) keyFromFiles(passphraseFile, keyFile string) (o engine.FileOptions, err error) {
	o.KeyFile, o.MarkFile = keyFile, a.Getenv(envEngineMark)
	if passphraseFile == "" {
		return o, nil
	}
	if o.Passphrase, err = a.secretFromFile(passphraseFile); err == nil && len(o.Passphrase) == 0 {
		err = fail.E(fail.BadInput, "%s: the passphrase is empty", passphraseFile)
	}
	return o, err
}

// keyFlags say what a new state is encrypted under, and open one that is.
type keyFlags struct{ passphraseFile, keyFile string }

func (k *keyFlags) define(f *pflag.FlagSet) {
	f.StringVar(&k.passphraseFile, "passphrase-file", "", "`FILE` with the passphrase that encrypts the state; - is stdin")
	f.StringVar(&k.keyFile, "key-file", "", "`FILE` of at least 32 random bytes that encrypts the state")
}

func (a *app) stateKey(k keyFlags) (engine.FileOptions, error) {
	if k == (keyFlags{}) {
		return a.engineKey()
	}
	if k.passphraseFile != "" && k.keyFile != "" {
		return engine.FileOptions{}, fail.E(fail.Usage, "--passphrase-file and --key-file exclude each other")
	}
	return a.keyFromFiles(k.passphraseFile, k.keyFile)
}

// engineInitDoc is the result of engine init.
type engineInitDoc struct {
	Folder     string `json:"folder"`
	Created    bool   `json:"created"`
	Encryption string `json:"encryption"`
	Reset      string `json:"reset"` // what resets it: "explicit" or "with-host"
}

func (engineInitDoc) Schema() string { return "vtpmctl.engine-init/v1" }

func (d engineInitDoc) Table(t *out.Table) {
	if d.Created {
		t.Text("a new TPM is in %s, encrypted under the %s", d.Folder, d.Encryption)
	} else {
		t.Text("unchanged: a TPM is in %s, encrypted under the %s", d.Folder, d.Encryption)
	}
}

func (a *app) engineInitCommand() *cobra.Command {
	var key keyFlags
	var force bool
	var reset string
	return a.command(verb{
		use:   "init",
		short: "make a software TPM, unless there is one",
		long: `The state of the software TPM is one encrypted file in a folder of its own. Without a flag its key is made at random and
kept beside it: that guards against a copy of one file, not against who can read the folder. A passphrase or a key file
that is kept elsewhere guards the folder too; then VTPMCTL_ENGINE_PASSPHRASE_FILE or VTPMCTL_ENGINE_KEY_FILE
tells the other verbs where it is.

Between two runs it counts as powered, and only engine reset reboots it. With --reset with-host a reboot of this machine
resets it too. The choice is kept in the state; init with the flag changes it for a TPM that is there.

It is software: root on this machine can read every secret in it while it runs.`,
		example: "vtpmctl engine init\nvtpmctl engine init --reset with-host\n" +
			"vtpmctl engine init --tpm engine:/srv/vm1-tpm --passphrase-file /run/credentials/tpm",
		exits: []fail.Kind{fail.AuthRefused, fail.TPMBusy, fail.Unsupported, fail.BadInput, fail.Permission},
		flags: func(f *pflag.FlagSet) {
			key.define(f)
			f.BoolVar(&force, "force", false, "destroy the TPM that is there, with all that was sealed to it")
			f.StringVar(&reset, "reset", "", "what resets it: `WHEN` is explicit (the first choice) or with-host")
		},
		run: func(ctx context.Context, _ []string) (out.Doc, error) {
			dir, err := a.engineFolder()
			if err != nil {
				return nil, err
			}
			o, err := a.stateKey(key)
			if err != nil {
				return nil, err
			}
			return a.initEngine(ctx, dir, o, force, reset)
		},
	})
}

func (a *app) initEngine(ctx context.Context, dir string, o engine.FileOptions, force bool, reset string) (out.Doc, error) {
	if reset != "" && reset != engine.ResetExplicitly.String() && reset != engine.ResetWithHost.String() {
		return nil, fail.E(fail.Usage, "--reset is explicit or with-host, not %q", reset)
	}
	store, err := engine.OpenFileStore(ctx, dir, o)
	if err != nil {
		return nil, tpm.EngineError(err)
	}
	if force {
		err = store.Discard()
	}
	before, infoErr := store.Info()
	if err = errors.Join(err, infoErr); err != nil {
		return nil, errors.Join(tpm.EngineError(err), store.Close())
	}
	e, err := engine.New(engine.Config{Store: store, Boot: a.Host.Boot()})
	if err != nil {
		return nil, errors.Join(tpm.EngineError(err), store.Close())
	}
	err = a.chooseReset(e, reset)
	after, infoErr := store.Info()
	d := engineInitDoc{Folder: dir, Created: before == nil, Reset: e.ResetPolicy().String()}
	if err = errors.Join(err, infoErr, e.Close()); err != nil {
		return nil, tpm.EngineError(err)
	}
	d.Encryption = after.Encryption
	return d, nil
}

func (a *app) chooseReset(e *engine.TPM, reset string) error {
	switch {
	case reset == "" || reset == e.ResetPolicy().String():
		return nil
	case reset == engine.ResetExplicitly.String():
		return e.SetResetPolicy(engine.ResetExplicitly)
	case a.Host.Boot() == "":
		return fail.E(fail.Unsupported, "this system does not tell one boot from the next").Hint("run vtpmctl engine reset at boot")
	}
	return e.SetResetPolicy(engine.ResetWithHost)
}

// engineDoc is the result of engine info and engine reset.
type engineDoc struct {
	Folder      string    `json:"folder"`
	Encryption  string    `json:"encryption"`
	Size        int64     `json:"size"`
	Saved       time.Time `json:"saved_at"`
	Generation  uint64    `json:"generation"` // how often the state was saved
	Resets      uint32    `json:"resets"`
	Restarts    uint32    `json:"restarts"`
	Clock       uint64    `json:"clock_ms"`
	ClockSafe   bool      `json:"clock_safe"`
	Persistent  []tpm.Hex `json:"persistent"`
	NV          []tpm.Hex `json:"nv"`
	FailedTries uint32    `json:"failed_tries"`
	Reset       string    `json:"reset"`
}

func (engineDoc) Schema() string { return "vtpmctl.engine/v1" }

func (d engineDoc) Table(t *out.Table) {
	t.Field("folder", d.Folder)
	t.Field("encryption", d.Encryption)
	t.Field("size of the state", d.Size)
	t.Field("saved", d.Saved.UTC().Format(time.RFC3339))
	t.Field("generation", d.Generation)
	t.Field("resets", d.Resets)
	t.Field("restarts", d.Restarts)
	t.Field("clock", time.Duration(d.Clock)*time.Millisecond)
	t.Field("persistent objects", len(d.Persistent))
	t.Field("NV indices", len(d.NV))
	t.Field("failed tries", d.FailedTries)
	t.Field("reset", d.Reset)
}

func (a *app) engineInfoCommand() *cobra.Command {
	return a.command(verb{
		use:     "info",
		short:   "show where the software TPM's state is and what it holds",
		example: "vtpmctl engine info\nvtpmctl engine info --tpm engine:/srv/vm1-tpm -o json",
		exits:   []fail.Kind{fail.MissingInput, fail.AuthRefused, fail.TPMBusy, fail.BadInput},
		run: func(ctx context.Context, _ []string) (out.Doc, error) {
			return a.withEngine(ctx, func(*engine.TPM) error { return nil })
		},
	})
}

func (a *app) engineResetCommand() *cobra.Command {
	return a.command(verb{
		use:   "reset",
		short: "reboot the software TPM: PCRs start over, sessions and loaded objects go",
		long: `Between two runs of vtpmctl the software TPM counts as powered: PCRs keep what was extended. reset is the reboot:
TPM2_Shutdown, power off and on, TPM2_Startup. Keys, NV indices and sealed data stay. It is the only one, unless
engine init --reset with-host chose that a reboot of this machine is one too.`,
		example: "vtpmctl engine reset",
		exits:   []fail.Kind{fail.MissingInput, fail.AuthRefused, fail.TPMBusy, fail.BadInput},
		run: func(ctx context.Context, _ []string) (out.Doc, error) {
			return a.withEngine(ctx, (*engine.TPM).Reset)
		},
	})
}

// withEngine opens the engine that is there, does something to it and describes it.
func (a *app) withEngine(ctx context.Context, act func(*engine.TPM) error) (doc out.Doc, err error) {
	dir, err := a.engineFolder()
	if err != nil {
		return nil, err
	}
	key, err := a.engineKey()
	if err != nil {
		return nil, err
	}
	state, err := stateThere(ctx, dir, key)
	if err != nil {
		return nil, err
	}
	e, err := tpm.OpenEngine(ctx, dir, key, engine.Config{Boot: a.Host.Boot()})
	if err != nil {
		return nil, err
	}
	if err := act(e); err != nil {
		return nil, errors.Join(tpm.EngineError(err), e.Close())
	}
	conn, err := tpm.FromEngine(ctx, e, tpm.Options{})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return describeEngine(ctx, conn, engineDoc{
		Folder: dir, Encryption: state.Encryption, Size: state.Size, Saved: state.Saved, Generation: state.Generation, Reset: e.ResetPolicy().String(),
	})
}

// stateThere makes sure that opening the engine will not make a new one.
func stateThere(ctx context.Context, dir string, key engine.FileOptions) (*engine.StateInfo, error) {
	missing := fail.E(fail.MissingInput, "there is no software TPM in %s", dir).Hint("vtpmctl engine init makes one")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) { // opening the store would make the folder
		return nil, missing
	}
	store, err := engine.OpenFileStore(ctx, dir, key)
	if err != nil {
		return nil, tpm.EngineError(err)
	}
	info, err := store.Info()
	if err == nil && info == nil {
		err = missing
	}
	return info, errors.Join(tpm.EngineError(err), store.Close())
}

// describeEngine adds to a description what the TPM itself tells.
func describeEngine(ctx context.Context, conn tpm.Conn, d engineDoc) (out.Doc, error) {
	caps, err := tpm.Probe(ctx, conn)
	if err != nil {
		return nil, err
	}
	clock, err := tpm.ReadClock(conn)
	if err != nil {
		return nil, err
	}
	d.Resets, d.Restarts, d.Clock, d.ClockSafe = clock.Resets, clock.Restarts, clock.Milliseconds, clock.Safe
	d.Persistent, d.NV, d.FailedTries = caps.Handles.Persistent, caps.Handles.NV, caps.Lockout.FailedTries
	return d, nil
}
