package eventlog_test

import (
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
)

func TestEveryTypeWithANameHasAMeaning(t *testing.T) {
	for _, base := range []eventlog.EventType{0, 0x80000000} {
		for low := range eventlog.EventType(0x200) {
			et := base | low
			if m := et.Meaning(); et.Known() != (m.Means != "" && m.Covers != "") {
				t.Errorf("%s: known %v, meaning %+v", et, et.Known(), m)
			}
			if again, ok := eventlog.ParseType(et.String()); !ok || again != et {
				t.Errorf("%s is read back as %s", et, again)
			}
		}
	}
}
