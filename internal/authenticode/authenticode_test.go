package authenticode_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/eventlog/synth"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
)

// image has two sections of odd sizes and a signature.
func image() []byte {
	return synth.Image([]synth.Section{{Name: ".text", Content: []byte("code")}, {Name: ".data", Content: bytes.Repeat([]byte{7}, 513)}}, "a CA")
}

func digest(t *testing.T, data []byte) [32]byte {
	t.Helper()
	i, err := authenticode.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := i.Covered()
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(bytes.Join(parts, nil))
}

func TestEveryByteCountsButTheChecksumAndTheCertificates(t *testing.T) {
	data := image()
	want := digest(t, data)
	table := int(binary.LittleEndian.Uint32(data[232:]))
	free := func(i int) bool { return i >= 152 && i < 156 || i >= table }
	for i := range data {
		if i >= 232 && i < 240 || i >= 60 && i < 152 || i >= 196 && i < 200 || i >= 328 && i < 408 {
			continue // where the parts of the file are: another place is another file, if it is one at all
		}
		changed := bytes.Clone(data)
		changed[i] ^= 1
		if i < 2 {
			continue // no PE image then
		}
		if same := digest(t, changed) == want; same != free(i) {
			t.Errorf("offset %d: changed, and the digest is the same: %v", i, same)
		}
	}
}

func TestASignatureDoesNotChangeTheDigest(t *testing.T) {
	sections := []synth.Section{{Name: ".text", Content: []byte("code")}}
	if digest(t, synth.Image(sections)) != digest(t, synth.Image(sections, "a CA", "another CA")) {
		t.Error("the digest depends on who signed")
	}
}

func TestSectionsAreHashedByTheirPlaceInTheFile(t *testing.T) {
	data := image()
	table := data[328:408]
	swapped := slices.Concat(data[:328], table[40:], table[:40], data[408:])
	i, err := authenticode.Parse(swapped)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := i.Covered()
	if err != nil {
		t.Fatal(err)
	}
	if first := parts[3]; !bytes.HasPrefix(first, []byte("code")) {
		t.Errorf("%q is hashed first", first[:4])
	}
}

func TestAnUnsignedFileIsPaddedForItsSignerOnly(t *testing.T) {
	data := append(synth.Image([]synth.Section{{Name: ".text", Content: []byte("code")}}), 1, 2, 3)
	i, err := authenticode.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := i.Covered()
	if err != nil {
		t.Fatal(err)
	}
	padded, err := i.Padded()
	if err != nil {
		t.Fatal(err)
	}
	a, b := bytes.Join(bare, nil), bytes.Join(padded, nil)
	if !bytes.Equal(b, append(a, 0, 0, 0, 0, 0)) || !bytes.HasSuffix(a, []byte{1, 2, 3}) {
		t.Errorf("%d bytes bare, %d padded", len(a), len(b))
	}
}

func TestSectionsAndCertificates(t *testing.T) {
	i, err := authenticode.Parse(image())
	if err != nil {
		t.Fatal(err)
	}
	if s := i.Section(".text"); s == nil || string(s.Data) != "code" {
		t.Errorf("%v", s)
	}
	if i.Section(".none") != nil {
		t.Error("a section that is not there")
	}
	certs, err := i.Certificates()
	if err != nil || len(certs) != 1 || certs[0].Issuer.CommonName != "a CA" {
		t.Errorf("%v, %v", certs, err)
	}
}

func TestImagesThatLie(t *testing.T) {
	patch := func(at int, v uint32) []byte {
		data := image()
		binary.LittleEndian.PutUint32(data[at:], v)
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                              {nil, "does not start with MZ"},
		"two letters":                          {[]byte("MZ"), "does not start with MZ"},
		"a PE header past the end":             {patch(60, 1<<30), "PE header at offset"},
		"a PE header at 4 GiB":                 {patch(60, 0xffffffff), "PE header at offset"},
		"no PE signature":                      {patch(64, 0), "no PE signature"},
		"an unknown optional header":           {patch(88, 0x1234), "unknown kind"},
		"headers longer than the file":         {patch(148, 1<<20), "headers of"},
		"headers that end before the table":    {patch(148, 100), "headers of"},
		"certificates past the end":            {patch(236, 1<<20), "certificate table"},
		"certificates at 4 GiB":                {patch(232, 0xffffffff), "certificate table"},
		"certificates in the headers":          {patch(232, 8), "certificate table"},
		"a section past the end":               {patch(328+20, 1<<20), `section ".text"`},
		"a section of 4 GiB":                   {patch(328+16, 0xffffffff), `section ".text"`},
		"sections that overlap":                {patch(328+16, 1536), "more bytes"},
		"more sections than the file has room": {patch(70, 0xff), "section \"\""},
		"65535 sections":                       {patch(70, 0xffff), "section table"},
	} {
		i, err := authenticode.Parse(c.data)
		if err == nil {
			_, err = i.Covered()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) && !strings.Contains(err.Error(), "certificate table lies") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestASectionMayBeLongerInMemory(t *testing.T) {
	data := image()
	binary.LittleEndian.PutUint32(data[328+8:], 600)
	i, err := authenticode.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Join(i.Sections[0].Loaded(), nil); len(got) != 600 || !bytes.HasPrefix(got, []byte("code\x00")) {
		t.Errorf("%d bytes", len(got))
	}
	binary.LittleEndian.PutUint32(data[328+8:], 0xffffffff)
	if i, err = authenticode.Parse(data); err != nil {
		t.Fatal(err)
	}
	if i.Sections[0].Loaded() != nil {
		t.Error("4 GiB of zeroes are made up")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(image())
	f.Add(synth.NewKernel("1"))
	m := synth.OnDisk()
	f.Add(m.UnifiedImage())
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := authenticode.Parse(data)
		if err != nil {
			return
		}
		parts, err := i.Covered()
		if err == nil {
			n := 0
			for _, p := range parts {
				n += len(p)
			}
			if n > len(data) {
				t.Errorf("%d bytes are covered of %d", n, len(data))
			}
		}
		for n := range i.Sections {
			i.Sections[n].Loaded()
		}
		_, _ = i.Certificates()
	})
}
