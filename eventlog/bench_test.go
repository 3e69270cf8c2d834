package eventlog_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
)

// longLog is a log of n events with data of a size that GRUB's commands have on average.
func longLog(n int, banks ...eventlog.Alg) []byte {
	b := synth.Agile(banks...)
	for i := range n {
		b.Data(8, eventlog.EVIPL, fmt.Appendf(nil, "grub_cmd: menuentry number %d --class gnu-linux --unrestricted\x00", i))
	}
	return b.Recording().Log
}

var fourBanks = []eventlog.Alg{eventlog.SHA1, eventlog.SHA256, eventlog.SHA384, eventlog.SHA512}

func BenchmarkParse(b *testing.B) {
	log := longLog(60000, fourBanks...)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eventlog.Parse(log); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndReplayFourBanks(b *testing.B) {
	log := longLog(60000, fourBanks...)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		parsed, err := eventlog.Parse(log)
		if err != nil {
			b.Fatal(err)
		}
		if len(parsed.Replay().Banks) != len(fourBanks) {
			b.Fatal("a bank is missing")
		}
	}
}

func BenchmarkPadding(b *testing.B) {
	log := append(longLog(10, eventlog.SHA256), bytes.Repeat([]byte{0}, 1<<20)...)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		if _, err := eventlog.Parse(log); err != nil {
			b.Fatal(err)
		}
	}
}
