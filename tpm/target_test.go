package tpm

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]Target{
		"":                                    {Scheme: Auto},
		"auto":                                {Scheme: Auto},
		"tbs":                                 {Scheme: TBS},
		"dev:/dev/tpmrm0":                     {Scheme: Dev, Path: "/dev/tpmrm0"},
		`engine:C:\vtpm`:                      {Scheme: Engine, Path: `C:\vtpm`},
		"replay:boot.txt":                     {Scheme: Replay, Path: "boot.txt"},
		"swtpm:localhost:2321":                {Scheme: SWTPM, Addr: "localhost:2321"},
		"swtpm:[::1]:2321":                    {Scheme: SWTPM, Addr: "[::1]:2321"},
		"swtpm:/run/swtpm.sock":               {Scheme: SWTPM, Path: "/run/swtpm.sock"},
		`swtpm:C:\vm\swtpm.sock`:              {Scheme: SWTPM, Path: `C:\vm\swtpm.sock`},
		"mssim:127.0.0.1:2321":                {Scheme: MSSIM, Addr: "127.0.0.1:2321"},
		"device":                              {Scheme: Dev, Path: "/dev/tpmrm0"},
		"device:/dev/tpm0":                    {Scheme: Dev, Path: "/dev/tpm0"},
		"swtpm":                               {Scheme: SWTPM, Addr: "localhost:2321"},
		"swtpm:port=2400":                     {Scheme: SWTPM, Addr: "localhost:2400"},
		"swtpm:host=10.0.0.1,port=2400":       {Scheme: SWTPM, Addr: "10.0.0.1:2400"},
		"swtpm:host=[::1],port=2400":          {Scheme: SWTPM, Addr: "[::1]:2400"},
		"swtpm:path=/run/swtpm.sock":          {Scheme: SWTPM, Path: "/run/swtpm.sock"},
		"swtpm:path=sock":                     {Scheme: SWTPM, Path: "./sock"},
		"mssim:host=sim,port=2321":            {Scheme: MSSIM, Addr: "sim:2321"},
		"libtss2-tcti-device.so.0:/dev/tpm0":  {Scheme: Dev, Path: "/dev/tpm0"},
		"libtss2-tcti-swtpm.so:port=2400":     {Scheme: SWTPM, Addr: "localhost:2400"},
		"libtss2-tcti-mssim.so.0":             {Scheme: MSSIM, Addr: "localhost:2321"},
		"dev:/dev/serial/by-path/pci-0:0:1.0": {Scheme: Dev, Path: "/dev/serial/by-path/pci-0:0:1.0"},
	} {
		t.Run(in, func(t *testing.T) {
			got, err := ParseTarget(in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for in, want := range map[string]fail.Kind{
		"/dev/tpmrm0":               fail.Usage,
		"dev":                       fail.Usage,
		"dev:":                      fail.Usage,
		"engine:":                   fail.Usage,
		"auto:x":                    fail.Usage,
		":":                         fail.Usage,
		"tbs:0":                     fail.Usage,
		"swtpm:2321":                fail.Usage,
		"swtpm:localhost:0":         fail.Usage,
		"swtpm:localhost:65536":     fail.Usage,
		"swtpm:localhost:http":      fail.Usage,
		"swtpm:port":                fail.Usage,
		"swtpm::2321":               fail.Usage,
		"swtpm:host=a,locality=3":   fail.Usage,
		"swtpm:path=/a,port=1":      fail.Usage,
		"mssim:/run/sock":           fail.Usage,
		"mssim:path=/run/sock":      fail.Usage,
		"tabrmd:bus_type=system":    fail.Unsupported,
		"cmd:ssh host tpm":          fail.Unsupported,
		"libtss2-tcti-tabrmd.so.0":  fail.Unsupported,
		"libtss2-tcti-nosuch.so.0:": fail.Usage,
	} {
		t.Run(in, func(t *testing.T) {
			got, err := ParseTarget(in)
			if kind := fail.KindOf(err); kind != want {
				t.Errorf("%v, error %v of kind %q, want kind %q", got, err, kind, want)
			}
			if len(fail.HintsOf(err)) == 0 {
				t.Errorf("%v has no hint", err)
			}
		})
	}
}

// FuzzParseTarget holds ParseTarget to its promise that String is read back as the same target.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"auto", "tbs", "dev:/dev/tpmrm0", "swtpm:localhost:2321", "swtpm:[::1%eth0]:1",
		"swtpm:host=h,port=2", "swtpm:path=s", "mssim:a:1", "engine:d", "replay:f", "device", "libtss2-tcti-swtpm.so:port=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			if fail.KindOf(err) != fail.Usage && fail.KindOf(err) != fail.Unsupported {
				t.Errorf("error of kind %q: %v", fail.KindOf(err), err)
			}
			return
		}
		again, err := ParseTarget(target.String())
		if err != nil || again != target {
			t.Errorf("%q gives %+v, whose text %q gives %+v, error %v", s, target, target.String(), again, err)
		}
	})
}
