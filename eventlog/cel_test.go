package eventlog_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// cel are the encodings of the Canonical Event Log.
var cel = []eventlog.Format{eventlog.FormatCELJSON, eventlog.FormatCELCBOR, eventlog.FormatCELTLV}

// written is a log in a format.
func written(t testing.TB, log *eventlog.Log, format eventlog.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := log.Write(&b, format); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.Bytes()
}

func TestCELKeepsEveryEventInEachEncoding(t *testing.T) {
	for name, boot := range boots {
		rec := boot(synth.Default())
		log := mustParse(t, rec.Log)
		for _, encoding := range cel {
			t.Run(name+" in "+string(encoding), func(t *testing.T) {
				again := mustParse(t, written(t, log, encoding))
				if len(again.Events) != len(log.Events) || !again.Complete() {
					t.Fatalf("%d events, want %d; notes %v", len(again.Events), len(log.Events), again.Notes)
				}
				for i := range log.Events {
					want, got := log.Events[i], again.Events[i]
					got.Offset = want.Offset
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("event %d (-want +got):\n%s", i, diff)
					}
				}
				for _, bank := range log.Banks {
					checkReplay(t, again, rec, bank)
				}
			})
		}
	}
}

// systemdRecord is one measurement as systemd logs it.
func systemdRecord(pcr int, text string) string {
	return fmt.Sprintf("\x1e{\"pcr\":%d,\"digests\":[{\"hashAlg\":\"sha1\",\"digest\":\"%s\"},{\"hashAlg\":\"sha256\",\"digest\":\"%s\"}],"+
		"\"content_type\":\"systemd\",\"content\":{\"string\":%q,\"bootId\":\"0123\",\"timestamp\":1,\"eventType\":\"phase\"}}\n",
		pcr, eventlog.SHA1.Sum([]byte(text)), eventlog.SHA256.Sum([]byte(text)), text)
}

func TestSystemdsLogIsReadCheckedAndAppended(t *testing.T) {
	data := systemdRecord(11, "enter-initrd") + systemdRecord(11, "leave-initrd") +
		strings.Replace(systemdRecord(0, "nv"), `"pcr":0`, `"nv_index":29622786`, 1)
	log := mustParse(t, []byte(data))
	if log.Format != eventlog.FormatSystemd || len(log.Events) != 3 || !log.Complete() {
		t.Fatalf("format %s, %d events, notes %v", log.Format, len(log.Events), log.Notes)
	}
	if r := log.Events[0].Record(); r.Check.Binding != eventlog.Bound || r.Summary != "phase: enter-initrd" {
		t.Errorf("%+v, %q", r.Check, r.Summary)
	}
	if log.Events[2].Extends() {
		t.Error("an NV index extends a PCR")
	}

	boot := synth.UKI(synth.Default())
	whole := mustParse(t, boot.Log)
	whole.Append(log)
	want := boot.PCRs(eventlog.SHA256)[11]
	for _, text := range []string{"enter-initrd", "leave-initrd"} {
		want = eventlog.SHA256.Sum(want, eventlog.SHA256.Sum([]byte(text)))
	}
	if got := whole.Replay().Bank(eventlog.SHA256).PCR(11); !bytes.Equal(got.Value, want) {
		t.Errorf("PCR 11 = %s, want %s", got.Value, want)
	}
}

func TestABrokenTailOfAJSONLogKeepsTheRecordsBeforeIt(t *testing.T) {
	log := mustParse(t, []byte(systemdRecord(11, "one")+"\x1e{\"pcr\":11,\"digests\":[{\"hashA"))
	if len(log.Events) != 1 || log.Complete() || !slices.Contains(codes(log), "truncated") {
		t.Errorf("%d events, notes %v", len(log.Events), log.Notes)
	}
}

// imaEntry is one entry of a measurement list, in both encodings.
type imaEntry struct {
	template, text string
	fields         [][]byte
}

func (e imaEntry) hashed() []byte {
	w := wire.NewLE()
	for _, f := range e.fields {
		w.Sized32(f)
	}
	return w.Out()
}

func TestIMAListsReplayInEveryBank(t *testing.T) {
	sum := eventlog.SHA256.Sum([]byte("content"))
	digest := slices.Concat([]byte("sha256:\x00"), sum)
	v2 := slices.Concat([]byte("ima:sha256:\x00"), sum)
	entries := []imaEntry{
		{"ima-ng", "sha256:" + sum.String() + " boot_aggregate", [][]byte{digest, []byte("boot_aggregate\x00")}},
		{"ima-ng", "sha256:" + sum.String() + " /usr/bin/a file with blanks", [][]byte{digest, []byte("/usr/bin/a file with blanks\x00")}},
		{"ima-sig", "sha256:" + sum.String() + " /usr/bin/signed 0302aabb", [][]byte{digest, []byte("/usr/bin/signed\x00"), {3, 2, 0xaa, 0xbb}}},
		{"ima-sig", "sha256:" + sum.String() + " /usr/bin/plain ", [][]byte{digest, []byte("/usr/bin/plain\x00"), {}}},
		{"ima-buf", "sha256:" + sum.String() + " kexec-cmdline 717569657400", [][]byte{digest, []byte("kexec-cmdline\x00"), []byte("quiet\x00")}},
		{"ima-ngv2", "ima:sha256:" + sum.String() + " /bin/sh", [][]byte{v2, []byte("/bin/sh\x00")}},
	}
	binary, text := wire.NewLE(), &strings.Builder{}
	want := map[eventlog.Alg]eventlog.Hex{eventlog.SHA1: make([]byte, 20), eventlog.SHA256: make([]byte, 32)}
	for _, e := range entries {
		template := eventlog.SHA1.Sum(e.hashed())
		binary.U32(10).Bytes(template).Sized32([]byte(e.template)).Sized32(e.hashed())
		fmt.Fprintf(text, "10 %s %s %s\n", template, e.template, e.text)
		for bank := range want {
			want[bank] = bank.Sum(want[bank], bank.Sum(e.hashed()))
		}
	}
	// A violation is listed as zeroes and extends all ones.
	violation := imaEntry{"ima-ng", "sha256:" + strings.Repeat("0", 64) + " /var/log/x",
		[][]byte{slices.Concat([]byte("sha256:\x00"), make([]byte, 32)), []byte("/var/log/x\x00")}}
	binary.U32(10).Bytes(make([]byte, 20)).Sized32([]byte("ima-ng")).Sized32(violation.hashed())
	fmt.Fprintf(text, "10 %s ima-ng %s\n", strings.Repeat("0", 40), violation.text)
	for bank := range want {
		want[bank] = bank.Sum(want[bank], bytes.Repeat([]byte{0xff}, bank.Size()))
	}
	for name, data := range map[string][]byte{"binary": binary.Out(), "text": []byte(text.String())} {
		t.Run(name, func(t *testing.T) {
			log := mustParse(t, data)
			if log.Format != eventlog.FormatIMA || len(log.Events) != len(entries)+1 || !log.Complete() {
				t.Fatalf("format %s, %d events, notes %v", log.Format, len(log.Events), log.Notes)
			}
			for bank, value := range want {
				if p := log.Replay().Bank(bank).PCR(10); !bytes.Equal(p.Value, value) {
					t.Errorf("%s:10 = %s, want %s", bank, p.Value, value)
				}
			}
			for i := range entries {
				r := log.Events[i].Record()
				if r.Check.Binding != eventlog.Bound || r.Note != "" || !strings.Contains(r.Summary, sum.String()) {
					t.Errorf("entry %d: %q, %+v, %q", i, r.Summary, r.Check, r.Note)
				}
			}
			if r := log.Events[len(entries)].Record(); !strings.Contains(r.Summary, "changed while it was measured") {
				t.Errorf("violation: %q", r.Summary)
			}
		})
	}
}

func TestTheOldestIMATemplateHashesAPaddedName(t *testing.T) {
	digest := eventlog.SHA1.Sum([]byte("content"))
	hashed := make([]byte, 20+256)
	copy(hashed, digest)
	copy(hashed[20:], "/sbin/init")
	template := eventlog.SHA1.Sum(hashed)
	line := fmt.Sprintf("10 %s ima %s /sbin/init\n", hex.EncodeToString(template), digest)
	bin := wire.NewLE().U32(10).Bytes(template).Sized32([]byte("ima")).Bytes(digest).Sized32([]byte("/sbin/init")).Out()
	for _, data := range [][]byte{[]byte(line), bin} {
		if r := mustParse(t, data).Events[0].Record(); r.Check.Binding != eventlog.Bound || !strings.Contains(r.Summary, "/sbin/init sha1:") {
			t.Errorf("%q, %+v", r.Summary, r.Check)
		}
	}
}

func TestAgileAndCELConvertIntoEachOther(t *testing.T) {
	for name, boot := range boots {
		rec := boot(synth.Default())
		log := mustParse(t, rec.Log)
		if log.Format == eventlog.FormatAgile {
			if same := written(t, log, eventlog.FormatAgile); !bytes.Equal(same, rec.Log) {
				t.Errorf("%s: an agile log written as agile is another one", name)
			}
		}
		back := mustParse(t, written(t, mustParse(t, written(t, log, eventlog.FormatCELCBOR)), eventlog.FormatAgile))
		for _, bank := range log.Banks {
			checkReplay(t, back, rec, bank)
		}
		if !back.Complete() || back.Format != eventlog.FormatAgile {
			t.Errorf("%s: format %s, notes %v", name, back.Format, back.Notes)
		}
	}
	if err := mustParse(t, []byte(systemdRecord(11, "x"))).Write(io.Discard, eventlog.FormatAgile); fail.KindOf(err) != fail.Unsupported {
		t.Errorf("an agile log with a measurement of systemd: %v", err)
	}
}
