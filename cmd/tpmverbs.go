package cmd

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/google/go-tpm/tpm2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/pcr"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// randomDoc is the result of random.
type randomDoc struct {
	Bytes int    `json:"bytes"`
	Hex   string `json:"hex,omitempty"`
	File  string `json:"file,omitempty"`
}

func (randomDoc) Schema() string { return "vtpmctl.random/v1" }

func (d randomDoc) Table(t *out.Table) {
	if d.Hex != "" {
		t.Text("%s", d.Hex)
	}
}

func (a *app) randomCommand() *cobra.Command {
	var o struct {
		outFile string
		force   bool
	}
	return a.command(verb{
		use:     "random BYTES",
		short:   "fetch random bytes from the TPM's generator",
		long:    "They are printed in hex, or written to a file as they are. On their way from the TPM they are encrypted.",
		example: "vtpmctl random 32\nvtpmctl random 64 --out-file key.bin",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.OutputExists},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.outFile, "out-file", "", "write the bytes to this `FILE`; - is stdout")
			f.BoolVar(&o.force, "force", false, "overwrite the file")
		},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return nil, fail.E(fail.Usage, "%q is not a number of bytes", args[0])
			}
			b, err := tpm.Random(t, n)
			switch {
			case err != nil:
				return nil, err
			case o.outFile == "-":
				_, err := a.Out.Write(b)
				return nil, err
			case o.outFile == "":
				return randomDoc{Bytes: n, Hex: hex.EncodeToString(b)}, nil
			}
			if err := file.Write(o.outFile, b, file.Secret, o.force); err != nil {
				return nil, err
			}
			return randomDoc{Bytes: n, File: o.outFile}, nil
		},
	})
}

// hashDoc is the result of hash.
type hashDoc struct {
	Alg    string `json:"algorithm"`
	Digest string `json:"digest"`
}

func (hashDoc) Schema() string { return "vtpmctl.hash/v1" }

func (d hashDoc) Table(t *out.Table) { t.Text("%s", d.Digest) }

func (a *app) hashCommand() *cobra.Command {
	alg := pcr.DefaultBank.String()
	return a.command(verb{
		use:     "hash FILE",
		short:   "have the TPM hash a file",
		long:    `The file may have any length; "-" is stdin. This shows that the TPM hashes right; sha256sum is faster.`,
		example: "vtpmctl hash /etc/machine-id\nvtpmctl hash --alg sha384 - < file",
		args:    cobra.ExactArgs(1),
		exits:   []fail.Kind{fail.Unsupported, fail.MissingInput},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&alg, "alg", alg, "hash `ALGORITHM`: sha1, sha256, sha384, sha512 or sm3_256")
		},
		onTPM: func(_ context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			id, err := pcr.ParseBank(alg)
			if err != nil {
				return nil, err
			}
			r, err := a.openInput(args[0])
			if err != nil {
				return nil, err
			}
			defer r.Close()
			digest, err := tpm.Hash(t, tpm2.TPMAlgID(id), r)
			if err != nil {
				return nil, err
			}
			return hashDoc{id.String(), hex.EncodeToString(digest)}, nil
		},
	})
}

// flushDoc is the result of flush.
type flushDoc struct {
	Flushed []tpm.Hex `json:"flushed"`
}

func (flushDoc) Schema() string { return "vtpmctl.flush/v1" }

func (d flushDoc) Table(t *out.Table) {
	for _, h := range d.Flushed {
		t.Text("%s flushed", h.String())
	}
	if len(d.Flushed) == 0 {
		t.Text("nothing to flush")
	}
}

func (a *app) flushCommand() *cobra.Command {
	return a.command(verb{
		use:   "flush HANDLE|objects|sessions|all ...",
		short: "free objects and sessions that programs left in the TPM",
		long: `Objects are the loaded ones, never persistent ones. A program that still uses what is flushed fails. Behind a resource
manager (/dev/tpmrm0, Windows) each program has its own objects, and only sessions of others can be seen.`,
		example: "vtpmctl flush all --tpm dev:/dev/tpm0\nvtpmctl flush 0x03000000",
		args:    cobra.MinimumNArgs(1),
		onTPM: func(ctx context.Context, t tpm.Conn, args []string) (out.Doc, error) {
			handles, err := flushHandles(ctx, t, args)
			if err != nil {
				return nil, err
			}
			flushed, err := tpm.Flush(t, handles)
			if err != nil && len(flushed) == 0 {
				return nil, err
			}
			return flushDoc{flushed}, err
		},
	})
}

// flushHandles reads the words of flush.
func flushHandles(ctx context.Context, t tpm.Conn, words []string) ([]tpm.Hex, error) {
	var all []tpm.Hex
	for _, word := range words {
		objects, sessions := word == "objects" || word == "all", word == "sessions" || word == "all"
		if !objects && !sessions {
			h, err := parseHandle(word)
			if err != nil {
				return nil, err
			}
			all = append(all, h)
			continue
		}
		c, err := tpm.Probe(ctx, t)
		if err != nil {
			return nil, err
		}
		if objects {
			all = append(all, c.Handles.Transient...)
		}
		if sessions {
			all = append(all, c.Handles.LoadedSessions...)
			all = append(all, c.Handles.SavedSessions...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// parseHandle reads a handle, in hex with 0x or in decimal.
func parseHandle(word string) (tpm.Hex, error) {
	n, err := strconv.ParseUint(word, 0, 32)
	if err != nil {
		return 0, fail.E(fail.Usage, "%q is not a handle", word).Hint("a handle looks like 0x81000001; vtpmctl info lists those in use")
	}
	return tpm.Hex(n), nil
}

// lockoutDoc is the result of lockout show and lockout reset.
type lockoutDoc struct {
	tpm.Lockout
	PasswordSet bool `json:"password_set"`
}

func (lockoutDoc) Schema() string { return "vtpmctl.lockout/v1" }

func (d lockoutDoc) Table(t *out.Table) {
	state := out.OK("not locked")
	if d.Locked {
		state = out.No("LOCKED")
	}
	t.Field("state", state)
	t.Field("wrong tries", d.FailedTries)
	t.Field("tries allowed", d.MaxTries)
	t.Field("one is forgotten after", seconds(d.RecoverySeconds).String())
	t.Field("a wrong lockout password locks it for", seconds(d.LockoutRecovery).String())
	password := "none: anybody can reset the lockout"
	if d.PasswordSet {
		password = "set"
	}
	t.Field("lockout password", password)
}

func readLockout(t tpm.Conn) (out.Doc, error) {
	l, s, err := tpm.ReadLockout(t)
	if err != nil {
		return nil, err
	}
	return lockoutDoc{*l, s.LockoutAuthSet}, nil
}

func (a *app) lockoutCommand() *cobra.Command {
	var authFile string
	return noun("lockout", "show and end the TPM's defence against guessing",
		a.command(verb{
			use:     "show",
			short:   "show wrong tries, limits and times; uses no auth value",
			example: "vtpmctl lockout show",
			onTPM:   func(_ context.Context, t tpm.Conn, _ []string) (out.Doc, error) { return readLockout(t) },
		}),
		a.command(verb{
			use:   "reset",
			short: "end a lockout and forget the wrong tries",
			long: `It needs the lockout password, if one is set. One wrong try locks that password too, as long as vtpmctl lockout show
says. On Windows the password is most often not kept, and nobody can reset the lockout: wait.`,
			example: "vtpmctl lockout reset\nvtpmctl lockout reset --auth-file lockout.txt",
			exits:   []fail.Kind{fail.AuthRefused, fail.Lockout, fail.TPMBlocked},
			effects: tpm.Clears | tpm.UsesDA,
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&authFile, "auth-file", "", "`FILE` with the lockout password; - is stdin")
			},
			onTPM: func(ctx context.Context, t tpm.Conn, _ []string) (out.Doc, error) {
				auth, err := a.lockoutAuth(ctx, t, authFile)
				if err != nil {
					return nil, err
				}
				defer clear(auth)
				if err := tpm.ResetLockout(t, auth); err != nil {
					return nil, err
				}
				return readLockout(t)
			},
		}))
}

// lockoutAuth gets the lockout password, unless the TPM has none and no file is given.
func (a *app) lockoutAuth(ctx context.Context, t tpm.Conn, authFile string) ([]byte, error) {
	return a.hierarchyAuth(ctx, t, authFile, "Lockout password: ", func(s *tpm.State) bool { return s.LockoutAuthSet })
}

// hierarchyAuth gets the password of a hierarchy, unless the TPM has none and no file is given.
func (a *app) hierarchyAuth(ctx context.Context, t tpm.Conn, authFile, prompt string, isSet func(*tpm.State) bool) ([]byte, error) {
	_, state, err := tpm.ReadLockout(t)
	if err != nil || (!isSet(state) && authFile == "") {
		return nil, err
	}
	secret, err := a.secret(ctx, authFile, prompt)
	if err != nil {
		return nil, err
	}
	return tpm.AuthValue(secret)
}
