package serve_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine/serve"
)

func TestCommandLinesOfSwtpm(t *testing.T) {
	tcp := func(addr string) serve.Address { return serve.Address{Network: "tcp", Addr: addr} }
	for line, want := range map[string]serve.Options{
		"socket --tpm2 --server port=2321 --ctrl type=tcp,port=2322 --seccomp action=none --flags not-need-init --tpmstate dir=.": {
			Dir: ".", Data: tcp("127.0.0.1:2321"), Control: tcp("127.0.0.1:2322"), Powered: true},
		"socket --tpm2 -p 1 --ctrl type=tcp,port=2 --log fd=1,level=5 --flags not-need-init,startup-clear --tpmstate dir=/s,mode=0600": {
			Dir: "/s", Data: tcp("127.0.0.1:1"), Control: tcp("127.0.0.1:2"), Disconnect: true, Powered: true, Startup: serve.StartupClear},
		"socket --tpmstate=dir=d --ctrl=type=unixio,path=/run/s,mode=0600 --tpm2 -t --pid file=p --locality reject-locality-4": {
			Dir: "d", Control: serve.Address{Network: "unix", Addr: "/run/s"}, Terminate: true, PIDFile: "p", RejectLocality4: true},
		"socket --tpmstate dir=d --ctrl type=unixio,clientfd=7 --server type=tcp,fd=8 --tpm2 --key pwdfile=k --key file=f": {
			Dir: "d", Control: serve.Address{Network: "fd", FD: 7, Client: true}, Data: serve.Address{Network: "fd", FD: 8, Client: true},
			PassphraseFile: "k", KeyFile: "f"},
		"socket --tpm2 -p3 --tpmstate dir=d --server type=tcp,port=5,bindaddr=::1,disconnect --flags startup-state": {
			Dir: "d", Data: tcp("[::1]:5"), Disconnect: true, Powered: true, Startup: serve.StartupState},
	} {
		got, err := serve.ParseSwtpm(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", line, *got, want)
		}
	}
}

func TestCommandLinesOfSwtpmThatAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"":                                        "only the interface",
		"chardev --tpm2":                          "only the interface",
		"socket --tpmstate dir=d -p 1":            "TPM 1.2",
		"socket --tpm2 -p 1":                      "--tpmstate",
		"socket --tpm2 --tpmstate dir=d":          "where to listen",
		"socket --tpm2 --daemon":                  "--daemon",
		"socket --tpm2 -p":                        "value is missing",
		"socket --tpm2 -p 0":                      "no port",
		"socket --tpm2 -p 65536":                  "no port",
		"socket --tpm2 --server type=unixio":      "names no port",
		"socket --tpm2 --server fd=2":             "no file descriptor",
		"socket --tpm2 --ctrl type=tcp,speed=9":   "speed=9",
		"socket --tpm2 --flags not-need-it":       "not-need-it",
		"socket --tpm2 --migration-key file=k":    "--migration-key",
		"socket --tpm2 --tpmstate backend-uri=x:": "backend-uri",
		"socket --tpm2 stray":                     "st",
	} {
		if o, err := serve.ParseSwtpm(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", line, o, err)
		}
	}
}

func TestCommandLinesOfTheSimulator(t *testing.T) {
	for line, want := range map[string]struct {
		command, platform string
		fresh             bool
	}{
		"":               {"127.0.0.1:2321", "127.0.0.1:2322", false},
		"-port 5000 -rm": {"127.0.0.1:5000", "127.0.0.1:5001", true},
		"-m 7":           {"127.0.0.1:7", "127.0.0.1:8", true},
	} {
		o, err := serve.ParseSimulator(strings.Fields(line))
		if err != nil || o.Command.Addr != want.command || o.Platform.Addr != want.platform || o.Fresh != want.fresh || o.Dir == "" {
			t.Errorf("%q: %+v, %v", line, o, err)
		}
	}
	for _, line := range []string{"-port", "-port x", "0", "65535", "--verbose"} {
		if o, err := serve.ParseSimulator(strings.Fields(line)); err == nil {
			t.Errorf("%q: %+v", line, o)
		}
	}
}

func FuzzParseSwtpm(f *testing.F) {
	f.Add("socket --tpm2 --server port=2321 --ctrl type=tcp,port=2322 --tpmstate dir=.")
	f.Add("socket -p1 -t --key=pwdfile=x --tpm2 --tpmstate dir=d")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := serve.ParseSwtpm(strings.Fields(line))
		if err == nil && (o.Dir == "" || o.Data.Network == "" && o.Control.Network == "") {
			t.Errorf("%q: %+v", line, o)
		}
	})
}
