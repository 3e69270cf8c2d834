package file

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Root may read everything, so the refusal itself cannot be had from a file here.
func TestAForbiddenDiskIsAQuestionOfPrivilege(t *testing.T) {
	err := deviceError("/dev/sda", &fs.PathError{Op: "open", Path: "/dev/sda", Err: fs.ErrPermission})
	if fail.KindOf(err) != fail.Permission || strings.Count(err.Error(), "/dev/sda") != 1 {
		t.Errorf("%s: %v", fail.KindOf(err), err)
	}
	if hints := fail.HintsOf(err); len(hints) != 1 || !strings.Contains(hints[0], "needs root") {
		t.Errorf("hints %q", hints)
	}
}
