package bitlocker

import (
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

func TestDatumsKeepsWhatStandsBeforeDamage(t *testing.T) {
	one := wire.NewLE().U16(10).U16(7).U16(2).U16(1).U16(0x41).Out()
	for name, c := range map[string]struct {
		data []byte
		want int
		err  string
	}{
		"two entries":                 {append(one[:10:10], one...), 2, ""},
		"padding ends the list":       {append(one[:10:10], make([]byte, 20)...), 1, ""},
		"less than a header is left":  {append(one[:10:10], 1, 2, 3), 1, ""},
		"an entry beyond the end":     {append(one[:10:10], 9, 0, 0, 0, 0, 0, 0, 0), 1, "offset 10: an entry of 9 bytes, 8 are left"},
		"an entry without its header": {append(one[:10:10], 7, 0, 0, 0, 0, 0, 0, 0), 1, "an entry of 7 bytes"},
		"too many":                    {[]byte(strings.Repeat("\x08\x00\x00\x00\x00\x00\x01\x00", maxDatums+1)), maxDatums, "more than 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := datums(c.data)
			if len(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d entries, %v; want %d, %q", len(got), err, c.want, c.err)
			}
		})
	}
}
