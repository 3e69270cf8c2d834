//go:build interop

package bitlocker_test

import (
	"testing"

	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/tpm"
	"github.com/vtpmctl/vtpmctl/tpm/tpmtest"
)

func swtpm(t *testing.T) tpm.Conn {
	t.Helper()
	conn, err := tpm.Open(t.Context(), interop.StartSWTPM(t).Target(), tpm.Options{Allow: tpmtest.Everything})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func TestTheForecastIsWhatSwtpmDoes(t *testing.T) { forecastIsWhatHappens(t, swtpm(t)) }

func TestPairKnowsTheSwtpmThatSealed(t *testing.T) { pairKnowsWhoSealed(t, swtpm) }
