package host_test

import (
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/internal/host"
)

func TestTextTrimsAndForgivesAbsence(t *testing.T) {
	h := host.Host{OS: "linux", Root: fstest.MapFS{"sys/class/dmi/id/sys_vendor": {Data: []byte("Amazon EC2\n")}}}
	if got := h.Text("sys/class/dmi/id/sys_vendor"); got != "Amazon EC2" {
		t.Errorf("got %q", got)
	}
	if got := h.Text("sys/class/dmi/id/product_name"); got != "" {
		t.Errorf("an absent file gives %q", got)
	}
}
