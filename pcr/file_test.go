package pcr_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/pcr"
)

// serialized writes the memory image of tpm2_pcrread -F serialized; the interop tests compare with the tool itself.
func serialized(v *pcr.Values) []byte {
	w := wire.NewLE().U32(uint32(len(v.Banks)))
	sel := v.Selection()
	for i := range 16 {
		var s pcr.BankSelection
		if i < len(sel) {
			s = sel[i]
			w.U16(uint16(s.Bank)).U8(3)
		} else {
			w.U16(0).U8(0)
		}
		w.U32(uint32(s.PCRs)).U8(0)
	}
	all := digests(v)
	w.U32(uint32((len(all) + 7) / 8))
	for len(all) > 0 {
		n := min(8, len(all))
		w.U32(uint32(n))
		for i := range 8 {
			var d []byte
			if i < n {
				d = all[i]
			}
			w.U16(uint16(len(d))).Bytes(d).Bytes(make([]byte, 64-len(d)))
		}
		all = all[n:]
	}
	return w.Out()
}

// marshaled writes what tpm2_pcrread -F marshaled of tpm2-tools 5.8 does.
func marshaled(v *pcr.Values) []byte {
	w := wire.NewBE().Bytes(tpm2.Marshal(v.Selection().TPM(pcr.Count)))
	all := digests(v)
	w.U32(uint32((len(all) + 7) / 8))
	for len(all) > 0 {
		n := min(8, len(all))
		w.U32(uint32(n))
		for _, d := range all[:n] {
			w.Sized16(d)
		}
		all = all[n:]
	}
	return w.Out()
}

func digests(v *pcr.Values) (all [][]byte) {
	for _, b := range v.Banks {
		for _, p := range b.PCRs {
			all = append(all, p.Digest)
		}
	}
	return all
}

// files are the same values in every kind of file.
func files(t testing.TB, v *pcr.Values) map[string][]byte {
	var pcrread bytes.Buffer
	if err := v.WritePCRRead(&pcrread); err != nil {
		t.Fatal(err)
	}
	ours, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"JSON":               ours,
		"JSON of a verb":     append([]byte("\ufeff{\"schema\":\"vtpmctl.pcr/v1\",\"tpm\":{},"), ours[1:]...),
		"tpm2_pcrread":       pcrread.Bytes(),
		"the same from DOS":  bytes.ReplaceAll(pcrread.Bytes(), []byte("\n"), []byte("\r\n")),
		"-F serialized":      serialized(v),
		"-F marshaled (5.8)": marshaled(v),
	}
}

func TestEveryKindOfFileHasTheSameValues(t *testing.T) {
	want := pattern(t, "sha1:all+sha256:0-7,14+sha512:3")
	for kind, data := range files(t, want) {
		got, err := pcr.Decode(data, nil)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", kind, d)
		}
		part, err := pcr.Decode(data, mustSelect(t, "sha256:7"))
		if err != nil || part.Selection().String() != "sha256:7" || part.Banks[0].PCRs[0].Digest[0] != 8 {
			t.Errorf("%s: PCR 7 alone: %+v, %v", kind, part, err)
		}
		if _, err := pcr.Decode(data, mustSelect(t, "sha256:8")); fail.KindOf(err) != fail.BadInput {
			t.Errorf("%s: a PCR that is not in the file: %v", kind, err)
		}
	}
}

func TestRawValuesNeedASelection(t *testing.T) {
	want := pattern(t, "sha256:0,7+sha1:3")
	raw := bytes.Join(digests(want), nil)
	got, err := pcr.Decode(raw, want.Selection())
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := pcr.Decode(raw, nil); fail.KindOf(err) != fail.BadInput {
		t.Errorf("without a selection: %+v, %v", got, err)
	}
}

func TestBadFilesOfValuesSayWhere(t *testing.T) {
	good := pattern(t, "sha256:0-9")
	cut := func(data []byte, n int) []byte { return data[:len(data)-n] }
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":               {nil, "the file is empty"},
		"JSON without banks":    {[]byte(`{"a":1}`), "there are none"},
		"broken JSON":           {[]byte(`{"banks":[`), "JSON"},
		"a bank twice":          {[]byte(`{"banks":[{"name":"sha1"},{"name":"sha1"}]}`), "sha1 stands there twice"},
		"an unknown bank":       {[]byte(`{"banks":[{"name":"md5","pcrs":[]}]}`), "md5"},
		"a short value":         {[]byte(`{"banks":[{"name":"sha1","pcrs":[{"pcr":0,"value":"00"}]}]}`), "PCR 0"},
		"PCRs out of order":     {[]byte(`{"banks":[{"name":"sha1","pcrs":[{"pcr":-1,"value":"00"}]}]}`), "PCR -1"},
		"prose":                 {[]byte("hello\n"), "line 1"},
		"a PCR without bank":    {[]byte("\n 0: 0x00\n"), "line 2: a PCR before any bank"},
		"an odd digit":          {[]byte("sha1:\n 0: 0x0\n"), "line 2"},
		"PCR 99":                {[]byte("sha1:\n 99: 0x00\n"), `line 2: "99"`},
		"a PCR twice":           {[]byte("sha1:\n 0: 0x00\n 0: 0x00\n"), "line 3"},
		"a cut serialized file": {cut(serialized(good), 1), "offset"},
		"a longer one":          {append(serialized(good), 0), "1 bytes too many"},
		"a cut marshaled file":  {cut(marshaled(good), 1), "offset"},
		"many selections":       {bytes.Repeat([]byte{0xff}, 2000), "selection"},
		"a huge file":           {bytes.Repeat([]byte{' '}, pcr.MaxFile+1), "more than"},
	} {
		v, err := pcr.Decode(c.data, nil)
		if fail.KindOf(err) != fail.BadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, v, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range files(f, pattern(f, "sha1:0,23+sha256:0-9")) {
		f.Add(data)
	}
	f.Add([]byte(`{"banks":[{"name":"sha1"},{"name":"sha256","pcrs":[{"pcr":0,"value":"` + strings.Repeat("01", 32) + `"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := pcr.Decode(data, nil)
		if err != nil {
			if fail.KindOf(err) != fail.BadInput {
				t.Errorf("kind %s: %v", fail.KindOf(err), err)
			}
			return
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := pcr.Decode(text, nil)
		if err != nil || cmp.Diff(v, again, cmpopts.EquateEmpty()) != "" {
			t.Errorf("our JSON of it reads as %+v, %v", again, err)
		}
	})
}
