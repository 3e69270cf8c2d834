package serve

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Address is where to listen: a network and address for net.Listen, or an inherited descriptor.
type Address struct {
	Network string // "tcp", "unix", or empty for none
	Addr    string
	FD      int  // used when Network is "fd"
	Client  bool // the descriptor is a connection, not a listener
}

// Startup is what a server sends the TPM before the first client comes.
type Startup string

// The startups.
const (
	StartupNone  Startup = ""
	StartupClear Startup = "clear"
	StartupState Startup = "state"
)

// Options is what the command line of another TPM program asks for.
type Options struct {
	Dir             string  // of the state
	Fresh           bool    // make a new TPM, whatever the folder holds
	Data, Control   Address // swtpm's protocol
	Command         Address // the simulator's protocol
	Platform        Address
	Powered         bool // commands may come before an INIT or a POWER_ON
	Startup         Startup
	Terminate       bool
	Disconnect      bool
	RejectLocality4 bool
	PIDFile         string
	KeyFile         string // of the state's encryption
	PassphraseFile  string
}

// The port of the reference simulator.
const simulatorPort = 2321

// ParseSwtpm reads the arguments of `swtpm socket --tpm2 …`, from "socket" on.
func ParseSwtpm(args []string) (*Options, error) {
	if len(args) == 0 || args[0] != "socket" {
		return nil, fmt.Errorf("swtpm: only the interface %q is served", "socket")
	}
	o := &Options{}
	var tpm2 bool
	for a := newArgs(args[1:]); a.next(); {
		var err error
		switch a.name {
		case "--tpm2":
			tpm2 = true
		case "-t", "--terminate":
			o.Terminate = true
		case "-p", "--port":
			err = a.with(func(v string) error { return o.server("type=tcp,disconnect,port=" + v) })
		case "-f", "--fd":
			o.Terminate = true
			err = a.with(func(v string) error { return o.server("fd=" + v) })
		case "--server":
			err = a.with(o.server)
		case "--ctrl":
			err = a.with(o.ctrl)
		case "--tpmstate":
			err = a.with(o.tpmstate)
		case "--flags":
			err = a.with(o.flags)
		case "--locality":
			err = a.with(o.locality)
		case "--pid":
			err = a.with(func(v string) error {
				return pairs(v, func(k, v string) bool { return set(k == "file", &o.PIDFile, v) })
			})
		case "--key":
			err = a.with(o.key)
		case "--log", "--seccomp": // connections are logged on stderr; there is no system call filter to choose
			err = a.with(func(string) error { return nil })
		default:
			err = fmt.Errorf("no such option here")
		}
		if err != nil {
			return nil, fmt.Errorf("swtpm: %s: %w", a.name, err)
		}
	}
	switch {
	case !tpm2:
		return nil, fmt.Errorf("swtpm: TPM 1.2 is not served: give --tpm2")
	case o.Dir == "":
		return nil, fmt.Errorf("swtpm: --tpmstate dir=<folder> is missing")
	case o.Data.Network == "" && o.Control.Network == "":
		return nil, fmt.Errorf("swtpm: neither --server nor --ctrl says where to listen")
	}
	return o, nil
}

// ParseSimulator reads the arguments of `tpm_server [-port N] [-rm]` and `tpm2-simulator [-m] [N]`. The state lies in a
// folder of the current one, as NVChip does.
func ParseSimulator(args []string) (*Options, error) {
	o := &Options{Dir: "NVChip.d"}
	port := simulatorPort
	for i := 0; i < len(args); i++ {
		switch a := args[i]; a {
		case "-rm", "-m", "--manufacture":
			o.Fresh = true
		case "-port", "--port":
			i++
			if i == len(args) {
				return nil, fmt.Errorf("%s wants a number", a)
			}
			a = args[i]
			fallthrough
		default:
			n, err := strconv.ParseUint(a, 10, 16)
			if err != nil || n == 0 || n == 65535 {
				return nil, fmt.Errorf("%q is neither an option nor a port from 1 to 65534", a)
			}
			port = int(n)
		}
	}
	o.Command = loopback(port)
	o.Platform = loopback(port + 1)
	return o, nil
}

func loopback(port int) Address {
	return Address{Network: "tcp", Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
}

// args walks a command line as getopt_long does: --name value, --name=value, -n value, -nvalue.
type args struct {
	rest  []string
	name  string
	value string
	given bool // value stood in the same word
}

func newArgs(list []string) *args { return &args{rest: list} }

func (a *args) next() bool {
	if len(a.rest) == 0 {
		return false
	}
	word := a.rest[0]
	a.rest = a.rest[1:]
	if strings.HasPrefix(word, "--") {
		a.name, a.value, a.given = strings.Cut(word, "=")
		return true
	}
	n := min(2, len(word))
	a.name, a.value, a.given = word[:n], word[n:], len(word) > n
	return true
}

// with hands the option's value to f.
func (a *args) with(f func(string) error) error {
	if !a.given {
		if len(a.rest) == 0 {
			return fmt.Errorf("a value is missing")
		}
		a.value, a.rest = a.rest[0], a.rest[1:]
	}
	return f(a.value)
}

// pairs walks "key=value,flag,…"; take says whether it knows the key.
func pairs(list string, take func(key, value string) bool) error {
	for _, item := range strings.Split(list, ",") {
		key, value, _ := strings.Cut(item, "=")
		if !take(key, value) {
			return fmt.Errorf("%q is not known here", item)
		}
	}
	return nil
}

// set stores value when the key is the wanted one, and says so.
func set[T any](wanted bool, where *T, value T) bool {
	if wanted {
		*where = value
	}
	return wanted
}

func (o *Options) server(v string) (err error) {
	o.Data, err = address(v, func(key, _ string) bool { return set(key == "disconnect", &o.Disconnect, true) })
	o.Data.Client = o.Data.Network == "fd" // swtpm reads commands from it at once
	return err
}

func (o *Options) ctrl(v string) (err error) {
	o.Control, err = address(v, func(string, string) bool { return false })
	return err
}

// address reads type=tcp|unixio, port, bindaddr, path, fd and clientfd; more takes other keys.
func address(list string, more func(key, value string) bool) (Address, error) {
	var kind, port, path, fd string
	var client bool
	host := "127.0.0.1"
	err := pairs(list, func(key, value string) bool {
		switch key {
		case "type":
			kind = value
		case "port":
			port = value
		case "bindaddr":
			host = value
		case "path":
			path = value
		case "fd", "clientfd":
			fd, client = value, key == "clientfd"
		case "mode", "uid", "gid": // the socket belongs to who starts the server and to nobody else
		default:
			return more(key, value)
		}
		return true
	})
	switch {
	case err != nil:
		return Address{}, err
	case fd != "":
		n, err := strconv.ParseUint(fd, 10, 31)
		if err != nil || n < 3 {
			return Address{}, fmt.Errorf("%q is no file descriptor above 2", fd)
		}
		return Address{Network: "fd", FD: int(n), Client: client}, nil
	case kind == "unixio" && path != "":
		return Address{Network: "unix", Addr: path}, nil
	case (kind == "tcp" || kind == "") && port != "":
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return Address{}, fmt.Errorf("%q is no port", port)
		}
		return Address{Network: "tcp", Addr: net.JoinHostPort(host, port)}, nil
	}
	return Address{}, fmt.Errorf("%q names no port, path or file descriptor", list)
}

func (o *Options) tpmstate(v string) error {
	return pairs(v, func(key, value string) bool { return key == "mode" || set(key == "dir", &o.Dir, value) })
}

func (o *Options) flags(v string) error {
	return pairs(v, func(key, _ string) bool {
		switch key {
		case "not-need-init":
			o.Powered = true
		case "startup-clear":
			o.Powered, o.Startup = true, StartupClear
		case "startup-state":
			o.Powered, o.Startup = true, StartupState
		case "startup-none":
			o.Startup = StartupNone
		default:
			return false
		}
		return true
	})
}

func (o *Options) locality(v string) error {
	return pairs(v, func(key, _ string) bool {
		return key == "allow-set-locality" || set(key == "reject-locality-4", &o.RejectLocality4, true)
	})
}

func (o *Options) key(v string) error {
	return pairs(v, func(key, value string) bool {
		return set(key == "file", &o.KeyFile, value) || set(key == "pwdfile", &o.PassphraseFile, value)
	})
}
