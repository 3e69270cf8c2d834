package host_test

import (
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/internal/host"
)

func TestEFIVariablesAreReadWithoutTheirAttributes(t *testing.T) {
	h := host.Host{OS: "linux", Root: fstest.MapFS{
		"proc/cmdline": {Data: []byte("root=/dev/vda ro \n")},
		"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": {Data: []byte{6, 0, 0, 0, 1}},
		"sys/firmware/efi/efivars/Short-x":                                         {Data: []byte{6}},
	}}
	if v, ok := h.EFIVariable("SecureBoot", "8be4df61-93ca-11d2-aa0d-00e098032b8c"); !ok || len(v) != 1 || v[0] != 1 {
		t.Errorf("%x %t", v, ok)
	}
	for _, name := range []string{"Short", "Absent", "../../../../proc/cmdline"} { // a log's names are foreign
		if v, ok := h.EFIVariable(name, "x"); ok {
			t.Errorf("%s: %x", name, v)
		}
	}
	if got := h.Cmdline(); got != "root=/dev/vda ro " {
		t.Errorf("%q", got)
	}
}
