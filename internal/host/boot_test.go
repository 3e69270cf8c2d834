package host_test

import (
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/internal/host"
)

func TestABootIsNamedByItsSystemOrNotAtAll(t *testing.T) {
	linux := fstest.MapFS{"proc/sys/kernel/random/boot_id": {Data: []byte("3e0e9a52-9f0f-4b3e-8b1c-ff0c7f1f8e5a\n")}}
	if got := (host.Host{OS: "linux", Root: linux}).Boot(); got != "3e0e9a52-9f0f-4b3e-8b1c-ff0c7f1f8e5a" {
		t.Errorf("Linux: %q", got)
	}
	if got := (host.Host{OS: "linux", Root: fstest.MapFS{}}).Boot(); got != "" {
		t.Errorf("a system that does not tell: %q", got)
	}
}
