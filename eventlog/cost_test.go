package eventlog_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// allocated is what f allocates, in bytes: a measure of its work that is the same on every machine.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A log twice as long may cost twice as much, and not four times: each case has a loop over events within another, or had.
func TestWorkGrowsWithTheLogAndNotWithItsSquare(t *testing.T) {
	const bank = eventlog.SHA256
	option := func(i int) []byte { // with arguments of its own
		return wire.NewLE().U32(1).U16(4).Bytes([]byte("x\x00\x00\x00\x7f\xff\x04\x00")).Bytes(fmt.Appendf(nil, "%08d", i)).Out()
	}
	for name, work := range map[string]func(n int) func(){
		"boot options, and command lines of none of them": func(n int) func() {
			b := synth.Agile(bank)
			for i := range n {
				b.Data(1, eventlog.EVEFIVariableBoot, synth.Variable("8be4df61-93ca-11d2-aa0d-00e098032b8c", fmt.Sprintf("Boot%04X", i), option(i)))
				b.Event(9, eventlog.EVEventTag, fmt.Append(nil, i), wire.NewLE().U32(0x8f3b22ed).U32(0).Out())
			}
			log := mustParse(t, b.Recording().Log)
			return func() { log.Explain() }
		},
		"logs with nothing in common": func(n int) func() {
			log := func(word string) *eventlog.Log {
				b := synth.Agile(bank)
				for i := range n {
					b.Data(8, eventlog.EVIPL, fmt.Appendf(nil, "grub_cmd: %s%d", word, i))
				}
				return mustParse(t, b.Recording().Log)
			}
			a, b := log("a"), log("b")
			return func() { eventlog.DiffLogs(a, b) }
		},
		"a bundle of which no log fits": func(n int) func() {
			b := synth.Agile(bank)
			for pcr := range uint32(16) {
				b.Data(pcr, eventlog.EVEFIAction, []byte("x"))
			}
			log := mustParse(t, bytes.Repeat(wire.NewLE().Sized32(b.Recording().Log).Out(), n/10))
			values := eventlog.Values{bank: {}}
			for pcr := range n / 320 { // twice as many PCRs that differ
				values[bank][pcr] = bank.Sum([]byte("other"))
			}
			return func() { log.Compare(values) }
		},
	} {
		const n = 2500
		once, twice := allocated(work(n)), allocated(work(2*n))
		if twice > 3*once {
			t.Errorf("%s: %d bytes for %d events, %d for twice as many", name, once, n, twice)
		}
	}
}

// Where the digests of an event lie is kept once for all events that have them there.
func TestALogOfFourBanksIsKeptInHalfItsSizeOnTop(t *testing.T) {
	log := longLog(5000, fourBanks...)
	if kept := allocated(func() { mustParse(t, log) }); kept > uint64(len(log)/2) {
		t.Errorf("%d bytes for a log of %d", kept, len(log))
	}
}
