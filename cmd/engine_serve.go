package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/engine/serve"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/file"
	"github.com/vtpmctl/vtpmctl/internal/out"
	"github.com/vtpmctl/vtpmctl/tpm"
)

// serveFlags are the flags of engine serve.
type serveFlags struct {
	swtpm, swtpmCtrl, swtpmUnix, mssim string
	terminate, open, off               bool
	readyFD                            int
	pidFile                            string
}

func (a *app) engineServeCommand() *cobra.Command {
	var s serveFlags
	return a.command(verb{
		use:   "serve",
		short: "serve the software TPM to QEMU, tpm2-tools and others",
		long: `At least one of --swtpm, --swtpm-unix and --mssim says how:

  --swtpm HOST:PORT    the protocol of swtpm; its control channel is on PORT+1 unless --swtpm-ctrl names it
  --swtpm-unix PATH    the control channel of swtpm on a unix socket, as QEMU wants it:
                       -chardev socket,id=c,path=PATH -tpmdev emulator,id=t,chardev=c -device tpm-crb,tpmdev=t
  --mssim HOST:PORT    the protocol of the TCG reference simulator; its platform port is PORT+1

Port 0 picks a free one; --ready-fd tells which. The TPM stays powered from one server to the next, and a client that
says so (QEMU does) powers it off and on. Who connects may use the TPM as its owner and may read its state: addresses
that other machines reach are refused without --allow-remote. When started under the name swtpm, tpm_server or
tpm2-simulator, the program takes the command line of that program. Each connection is a line on stderr; -q leaves them out.`,
		example: "vtpmctl engine serve --swtpm-unix /run/vm1.sock --tpm engine:/srv/vm1-tpm\n" +
			"vtpmctl engine serve --mssim localhost:2321",
		exits:   []fail.Kind{fail.AuthRefused, fail.TPMBusy, fail.BadInput, fail.OutputFailed},
		endless: true,
		flags:   s.define,
		run: func(ctx context.Context, _ []string) (out.Doc, error) {
			o, err := s.options()
			if err != nil {
				return nil, err
			}
			if o.Dir, err = a.engineFolder(); err != nil {
				return nil, err
			}
			key, err := a.engineKey()
			if err != nil {
				return nil, err
			}
			return nil, a.serve(ctx, o, key, s.readyFD, a.logger(a.log))
		},
	})
}

func (s *serveFlags) define(f *pflag.FlagSet) {
	f.StringVar(&s.swtpm, "swtpm", "", "`HOST:PORT` of swtpm's data channel")
	f.StringVar(&s.swtpmCtrl, "swtpm-ctrl", "", "`HOST:PORT` of swtpm's control channel")
	f.StringVar(&s.swtpmUnix, "swtpm-unix", "", "`PATH` of the unix socket of swtpm's control channel")
	f.StringVar(&s.mssim, "mssim", "", "`HOST:PORT` of the reference simulator's command port")
	f.BoolVar(&s.terminate, "terminate", false, "end when a swtpm data channel is closed")
	f.BoolVar(&s.off, "power-off", false, "start with the TPM off, as hardware does: clients send INIT or POWER_ON, then TPM2_Startup")
	f.BoolVar(&s.open, "allow-remote", false, "listen on addresses that other machines reach; whoever reaches them owns this TPM")
	f.IntVar(&s.readyFD, "ready-fd", 0, "write a line of JSON with the addresses to this file descriptor when clients can come")
	f.StringVar(&s.pidFile, "pid-file", "", "write the process id to this `FILE`")
}

// options puts the flags into the form that foreign command lines have too.
func (s *serveFlags) options() (*serve.Options, error) {
	o := &serve.Options{Powered: !s.off, Terminate: s.terminate, PIDFile: s.pidFile}
	var err error
	if s.swtpm != "" {
		if o.Data, o.Control, err = pairOfPorts("--swtpm", s.swtpm); err != nil {
			return nil, err
		}
	}
	switch {
	case s.swtpmCtrl != "" && s.swtpmUnix != "":
		return nil, fail.E(fail.Usage, "--swtpm-ctrl and --swtpm-unix exclude each other")
	case s.swtpmCtrl != "":
		if o.Control, _, err = pairOfPorts("--swtpm-ctrl", s.swtpmCtrl); err != nil {
			return nil, err
		}
	case s.swtpmUnix != "":
		o.Control = serve.Address{Network: "unix", Addr: s.swtpmUnix}
	}
	if s.mssim != "" {
		if o.Command, o.Platform, err = pairOfPorts("--mssim", s.mssim); err != nil {
			return nil, err
		}
	}
	if o.Control.Network == "" && o.Command.Network == "" {
		return nil, fail.E(fail.Usage, "nothing says how to serve").Hint("--swtpm, --swtpm-unix or --mssim does")
	}
	for _, addr := range []serve.Address{o.Data, o.Control, o.Command} {
		if !s.open && !serve.IsLoopback(addr) {
			return nil, fail.E(fail.Usage, "other machines may reach %s, and whoever connects owns the TPM", addr.Addr).
				Hint("use 127.0.0.1 or a unix socket, or say --allow-remote")
		}
	}
	return o, nil
}

// pairOfPorts reads HOST:PORT and gives that address and the one with the next port. Port 0 picks both.
func pairOfPorts(flag, s string) (first, second serve.Address, err error) {
	host, port, err := net.SplitHostPort(s)
	n, numErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numErr != nil || host == "" || n == 65535 {
		return first, second, fail.E(fail.Usage, "%s is HOST:PORT with a port from 0 to 65534, not %q", flag, s)
	}
	at := func(n uint64) serve.Address {
		return serve.Address{Network: "tcp", Addr: net.JoinHostPort(host, strconv.FormatUint(n, 10))}
	}
	if n == 0 {
		return at(0), at(0), nil
	}
	return at(n), at(n + 1), nil
}

// foreign are the programs whose command lines this one takes when it is started under their names.
var foreign = map[string]func([]string) (*serve.Options, error){
	"swtpm":          serve.ParseSwtpm,
	"tpm_server":     serve.ParseSimulator,
	"tpm2-simulator": serve.ParseSimulator,
}

// commandLine is what Run is given for the words the process was started with.
func commandLine(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	name := strings.TrimSuffix(filepath.Base(argv[0]), ".exe")
	if _, ok := foreign[name]; ok {
		return append([]string{"engine", "emulate", name}, argv[1:]...)
	}
	return argv[1:]
}

// emulateCommand serves as another program would be told to: engine emulate NAME ARGUMENTS.
func (a *app) emulateCommand() *cobra.Command {
	c := a.command(verb{
		use: "emulate PROGRAM [ARGUMENT ...]", short: "serve as another TPM program would with these arguments",
		args: cobra.MinimumNArgs(1), endless: true,
		run: func(ctx context.Context, args []string) (out.Doc, error) {
			parse, ok := foreign[args[0]]
			if !ok {
				return nil, fail.E(fail.Usage, "%q is no program whose command line is known", args[0])
			}
			o, err := parse(args[1:])
			if err != nil {
				return nil, fail.E(fail.Usage, "%w", err)
			}
			key, err := a.keyFromFiles(o.PassphraseFile, o.KeyFile)
			if err != nil {
				return nil, err
			}
			return nil, a.serve(ctx, o, key, 0, a.logger(a.warn))
		},
	})
	c.Hidden, c.DisableFlagParsing = true, true
	return c
}

// serve runs the servers that o asks for until ctx ends or a client ends them.
func (a *app) serve(ctx context.Context, o *serve.Options, key engine.FileOptions, readyFD int, log func(string)) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	e, err := a.engineToServe(ctx, o, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tpm.EngineError(e.Close())) }()
	if err := startup(e, o.Startup); err != nil {
		return err
	}
	s := serve.New(e, o.Powered)
	s.Stop, s.Log = stop, log
	s.Terminate, s.Disconnect, s.RejectLocality4 = o.Terminate, o.Disconnect, o.RejectLocality4
	return a.run(ctx, stop, log, o.PIDFile, readyFD, []pair{
		{port{"swtpm", o.Data, s.SwtpmData}, port{"swtpm_ctrl", o.Control, s.SwtpmControl}},
		{port{"mssim", o.Command, s.Mssim}, port{"mssim_platform", o.Platform, s.MssimPlatform}},
	})
}

// engineToServe opens the state, as soon as nobody else uses it. A TPM that starts off is one whose power is the server.
func (a *app) engineToServe(ctx context.Context, o *serve.Options, key engine.FileOptions) (*engine.TPM, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if o.Fresh {
		if _, err := a.initEngine(ctx, o.Dir, key, true, ""); err != nil {
			return nil, err
		}
	}
	cfg := engine.Config{Boot: a.Host.Boot()}
	if !o.Powered || o.Startup != serve.StartupNone {
		cfg.Power = engine.OffBetween
	}
	return tpm.OpenEngine(ctx, o.Dir, key, cfg)
}

// startup sends the TPM2_Startup that firmware would.
func startup(e *engine.TPM, kind serve.Startup) error {
	code := map[serve.Startup]byte{serve.StartupClear: 0, serve.StartupState: 1}
	su, ok := code[kind]
	if !ok {
		return nil
	}
	rsp, err := e.Send([]byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, su})
	if err != nil {
		return tpm.EngineError(err)
	}
	if string(rsp[6:10]) != "\x00\x00\x00\x00" {
		return fail.E(fail.Failed, "TPM2_Startup(%s) answered %x", kind, rsp[6:10])
	}
	return nil
}

// log tells of connections, to whoever keeps what a server writes.
func (a *app) log(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.Err, "vtpmctl: %s\n", out.Escape(fmt.Sprintf(format, args...)))
	}
}

// logger makes of how one line is told how connections tell theirs, from several goroutines.
func (a *app) logger(tell func(string, ...any)) func(string) {
	var mu sync.Mutex
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		tell("%s", line)
	}
}

// port is one address to serve and how.
type port struct {
	name  string
	addr  serve.Address
	serve func(context.Context, net.Listener) error
}

// pair are two ports of one protocol.
type pair struct{ first, second port }

// run opens the ports, says that it did, and serves them.
func (a *app) run(ctx context.Context, stop func(), log func(string), pidFile string, readyFD int, pairs []pair) error {
	listening := map[string]string{}
	var running sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	defer running.Wait()
	defer stop()
	start := func(p port, l net.Listener) {
		if l == nil {
			return
		}
		listening[p.name] = l.Addr().String()
		log(p.name + ": listening on " + l.Addr().String())
		running.Go(func() {
			defer stop()
			if err := p.serve(ctx, l); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	for _, p := range pairs {
		l, next, err := serve.ListenPair(p.first.addr, p.second.addr)
		if err != nil {
			return fail.E(fail.OutputFailed, "%s: %w", p.first.name, err).Hint("is another server running there?")
		}
		start(p.first, l)
		start(p.second, next)
	}
	if err := a.ready(listening, pidFile, readyFD); err != nil {
		return err
	}
	<-ctx.Done()
	running.Wait()
	return errors.Join(errs...)
}

// ready tells who started the server that clients can come.
func (a *app) ready(listening map[string]string, pidFile string, fd int) error {
	if pidFile != "" {
		if err := file.Write(pidFile, fmt.Appendln(nil, a.PID), file.Shared, true); err != nil {
			return err
		}
	}
	if fd == 0 {
		return nil
	}
	w, err := a.OpenFD(fd)
	if err != nil {
		return fail.E(fail.Usage, "--ready-fd %d: %w", fd, err)
	}
	line, err := json.Marshal(listening)
	if err == nil {
		_, err = w.Write(append(line, '\n'))
	}
	return errors.Join(err, closeUnlessStandard(w, fd))
}

func closeUnlessStandard(w io.Closer, fd int) error {
	if fd <= 2 {
		return nil
	}
	return w.Close()
}
