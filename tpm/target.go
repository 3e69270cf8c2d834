package tpm

import (
	"net"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Scheme is the word before the colon of a target.
type Scheme string

// The schemes.
const (
	Auto   Scheme = "auto"   // the system's TPM, else the engine in its default folder
	Dev    Scheme = "dev"    // a Linux character device
	TBS    Scheme = "tbs"    // Windows TPM Base Services
	SWTPM  Scheme = "swtpm"  // swtpm's data channel: raw TPM bytes over TCP or a unix socket
	MSSIM  Scheme = "mssim"  // the TCP protocol of the TCG reference simulator
	Engine Scheme = "engine" // vtpmctl's own TPM, its state in a folder
	Replay Scheme = "replay" // a recorded transcript
)

// Target is where a TPM is to be found. Of Path and Addr at most one is set.
type Target struct {
	Scheme Scheme
	Path   string // device, unix socket, folder or file
	Addr   string // HOST:PORT
}

// String is t in the grammar of --tpm; ParseTarget reads it back.
func (t Target) String() string {
	if t.Path == "" && t.Addr == "" {
		return string(t.Scheme)
	}
	return string(t.Scheme) + ":" + t.Path + t.Addr
}

// targetGrammar is the hint of every target that cannot be read.
const targetGrammar = "a target is auto, dev:/dev/tpmrm0, tbs, swtpm:HOST:PORT, swtpm:SOCKET, mssim:HOST:PORT, " +
	"engine:FOLDER or replay:FILE"

// tctiPort is where tpm2-tss looks for swtpm and mssim when a TCTI string names no port.
const tctiPort = "2321"

// ParseTarget reads a target in the grammar of --tpm, or a TCTI string as TPM2TOOLS_TCTI carries it: the name of a
// tpm2-tss module, with or without "libtss2-tcti-", and its configuration. "" is auto.
func ParseTarget(s string) (Target, error) {
	scheme, rest, _ := strings.Cut(trimLibrary(s), ":")
	switch Scheme(scheme) {
	case "", Auto:
		if rest == "" && !strings.HasPrefix(s, ":") {
			return Target{Scheme: Auto}, nil
		}
		return Target{}, badTarget(s, "auto takes nothing after it")
	case TBS:
		if rest == "" {
			return Target{Scheme: TBS}, nil
		}
		return Target{}, badTarget(s, "tbs takes nothing after it")
	case Dev, Engine, Replay:
		if rest == "" {
			return Target{}, badTarget(s, scheme+": needs a path")
		}
		return Target{Scheme: Scheme(scheme), Path: rest}, nil
	case "device": // the TCTI's word; its default is the kernel's resource manager
		if rest == "" {
			rest = "/dev/tpmrm0"
		}
		return Target{Scheme: Dev, Path: rest}, nil
	case SWTPM, MSSIM:
		return parseSocket(s, Scheme(scheme), rest)
	case "tabrmd", "cmd", "pcap", "spi-helper", "spi-ftdi", "spi-ltt2go", "i2c-helper", "i2c-ftdi":
		return Target{}, fail.E(fail.Unsupported, "TCTI %q is served by a module of tpm2-tss, and this program loads none",
			scheme).Hint("%s", targetGrammar)
	}
	return Target{}, badTarget(s, "no such kind of target")
}

// parseSocket reads what follows "swtpm:" and "mssim:": HOST:PORT, a socket path (swtpm only), or the key=value pairs
// of the TCTI modules of that name.
func parseSocket(s string, scheme Scheme, rest string) (Target, error) {
	switch {
	case rest == "":
		return Target{Scheme: scheme, Addr: net.JoinHostPort("localhost", tctiPort)}, nil
	case isTCTIConf(rest):
		return parseTCTIConf(s, scheme, rest)
	case strings.ContainsAny(rest, `/\`):
		return socketPath(s, scheme, rest)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Target{}, badTarget(s, "neither HOST:PORT nor a path with a slash in it")
	}
	return socketAddr(s, scheme, host, port)
}

// isTCTIConf tells "host=…,port=…" from an address or a path.
func isTCTIConf(conf string) bool {
	key, _, ok := strings.Cut(conf, "=")
	return ok && (key == "host" || key == "port" || key == "path")
}

func parseTCTIConf(s string, scheme Scheme, conf string) (Target, error) {
	host, port := "localhost", tctiPort
	for pair := range strings.SplitSeq(conf, ",") {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || value == "":
			return Target{}, badTarget(s, strconv.Quote(pair)+" is not key=value")
		case key == "host":
			host = strings.Trim(value, "[]")
		case key == "port":
			port = value
		case key == "path" && conf == pair:
			return socketPath(s, scheme, value)
		default:
			return Target{}, badTarget(s, strconv.Quote(key)+" is not understood here")
		}
	}
	return socketAddr(s, scheme, host, port)
}

func socketPath(s string, scheme Scheme, path string) (Target, error) {
	if scheme != SWTPM {
		return Target{}, badTarget(s, string(scheme)+" is reached over TCP: HOST:PORT")
	}
	if !strings.ContainsAny(path, `/\`) {
		path = "./" + path // so that String is read back as a path
	}
	return Target{Scheme: scheme, Path: path}, nil
}

func socketAddr(s string, scheme Scheme, host, port string) (Target, error) {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Target{}, badTarget(s, "port "+strconv.Quote(port)+" is not between 1 and 65535")
	}
	if host == "" || strings.ContainsAny(host, `[]=,/\`) {
		return Target{}, badTarget(s, "host "+strconv.Quote(host)+" is not a host name")
	}
	return Target{Scheme: scheme, Addr: net.JoinHostPort(host, port)}, nil
}

// trimLibrary cuts "libtss2-tcti-NAME.so.0" down to NAME: tpm2-tools takes a module by either.
func trimLibrary(s string) string {
	name, ok := strings.CutPrefix(s, "libtss2-tcti-")
	if !ok {
		return s
	}
	module, conf, hasConf := strings.Cut(name, ":")
	module, _, _ = strings.Cut(module, ".so")
	if hasConf {
		return module + ":" + conf
	}
	return module
}

func badTarget(s, why string) error {
	return fail.E(fail.Usage, "target %q: %s", s, why).Hint("%s", targetGrammar)
}
