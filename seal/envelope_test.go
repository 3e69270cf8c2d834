package seal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

// The tests of the envelope are inside the package: only here can its pieces be moved about.

var testKey, testBound = bytes.Repeat([]byte{7}, envelopeKeySize), []byte("what stands before")

// pattern is n bytes that do not repeat in a chunk's length.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func encrypted(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encryptStream(&b, bytes.NewReader(plain), testKey, testBound); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decrypted(data []byte) ([]byte, error) {
	var b bytes.Buffer
	_, err := decryptStream(&b, bytes.NewReader(data), testKey, testBound)
	return b.Bytes(), err
}

func TestEnvelopeOfAnyLengthComesBack(t *testing.T) {
	for _, n := range []int{1, 129, envelopeChunk - 1, envelopeChunk, envelopeChunk + 1, 3 * envelopeChunk, 3*envelopeChunk + 17} {
		plain := pattern(n)
		data := encrypted(t, plain)
		if want := n + gcmTag*((n+envelopeChunk-1)/envelopeChunk); len(data) != want {
			t.Errorf("%d bytes became %d, want %d", n, len(data), want)
		}
		if got, err := decrypted(data); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
		}
	}
}

func TestAnAlteredEnvelopeIsRefused(t *testing.T) {
	const chunk = envelopeChunk + gcmTag
	plain := pattern(3*envelopeChunk + 100)
	whole := encrypted(t, plain)
	exact := encrypted(t, pattern(2*envelopeChunk))
	flip := func(i int) []byte {
		b := bytes.Clone(whole)
		b[i] ^= 1
		return b
	}
	for name, data := range map[string][]byte{
		"a bit of the first chunk":        flip(10),
		"a bit of a tag":                  flip(chunk - 1),
		"a bit of the last chunk":         flip(len(whole) - 1),
		"the last chunk is gone":          whole[:3*chunk],
		"the last chunk of two is gone":   exact[:chunk],
		"a chunk in the middle is gone":   append(bytes.Clone(whole[:chunk]), whole[2*chunk:]...),
		"two chunks are swapped":          bytes.Join([][]byte{whole[chunk : 2*chunk], whole[:chunk], whole[2*chunk:]}, nil),
		"a chunk is there twice":          bytes.Join([][]byte{whole[:chunk], whole[:chunk], whole[chunk:]}, nil),
		"the last byte is gone":           whole[:len(whole)-1],
		"a byte is added":                 append(bytes.Clone(whole), 0),
		"another last chunk is added":     append(bytes.Clone(exact), encrypted(t, []byte("x"))...),
		"nothing is left":                 {},
		"only a tag is left":              whole[:gcmTag],
		"an empty last chunk was made up": encrypted(t, nil),
	} {
		got, err := decrypted(data)
		if !errors.Is(err, errEnvelope) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if !bytes.HasPrefix(plain, got) && !bytes.HasPrefix(pattern(2*envelopeChunk), got) {
			t.Errorf("%s: something that is not genuine came out", name)
		}
	}
	var b bytes.Buffer
	if _, err := decryptStream(&b, bytes.NewReader(whole), testKey, []byte("another head")); !errors.Is(err, errEnvelope) {
		t.Errorf("under another head: %v", err)
	}
	if _, err := decryptStream(&b, bytes.NewReader(whole), bytes.Repeat([]byte{8}, envelopeKeySize), testBound); !errors.Is(err, errEnvelope) {
		t.Errorf("under another key: %v", err)
	}
	if _, err := decryptStream(&b, bytes.NewReader(whole), testKey[1:], testBound); err == nil {
		t.Error("a key of 31 bytes was taken")
	}
}

// failing fails after what it has.
type failing struct{ r io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = errors.New("the disk broke")
	}
	return n, err
}

func TestAReadErrorIsNoEndOfTheEnvelope(t *testing.T) {
	err := encryptStream(io.Discard, failing{bytes.NewReader(pattern(10))}, testKey, testBound)
	if err == nil || !strings.Contains(err.Error(), "the disk broke") {
		t.Errorf("encrypting: %v", err)
	}
	_, err = decryptStream(io.Discard, failing{bytes.NewReader(encrypted(t, pattern(10)))}, testKey, testBound)
	if err == nil || !strings.Contains(err.Error(), "the disk broke") {
		t.Errorf("decrypting: %v", err)
	}
	text := armored(t, pattern(300))
	_, err = io.ReadAll(newArmorReader(bufio.NewReader(failing{strings.NewReader(text[:100])})))
	if err == nil || !strings.Contains(err.Error(), "the disk broke") || errors.Is(err, errEnvelope) {
		t.Errorf("armor: %v", err)
	}
}

// zeroes is an endless source that counts.
type zeroes struct{ n int64 }

func (z *zeroes) Read(p []byte) (int, error) {
	clear(p)
	z.n += int64(len(p))
	return len(p), nil
}

func TestEnvelopeNeedsNoMoreMemoryForMoreData(t *testing.T) {
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, w := io.Pipe()
	go func() {
		a := newArmorWriter(w)
		err := encryptStream(a, io.LimitReader(&zeroes{}, size), testKey, testBound)
		w.CloseWithError(errors.Join(err, a.Close()))
	}()
	n, err := decryptStream(io.Discard, newArmorReader(bufio.NewReader(r)), testKey, testBound)
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("%d bytes were allocated for 64 MiB", allocated)
	}
}

func armored(t testing.TB, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	a := newArmorWriter(&b)
	if _, err := a.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestArmorIsTextInShortLines(t *testing.T) {
	for _, n := range []int{0, 1, 47, 48, 49, 1000} {
		text := armored(t, pattern(n))
		for line := range strings.Lines(text) {
			if len(line) > armorLine+1 || !strings.HasSuffix(line, "\n") {
				t.Errorf("%d bytes: the line %q", n, line)
			}
		}
		for kind, variant := range map[string]string{
			"as written": text, "with CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "with space around": "\n\n" + text + "\n \n",
			"without the last line end": strings.TrimSuffix(text, "\n"),
		} {
			got, err := io.ReadAll(newArmorReader(bufio.NewReader(strings.NewReader(variant))))
			if err != nil || !bytes.Equal(got, pattern(n)) {
				t.Errorf("%d bytes %s: %d bytes, %v", n, kind, len(got), err)
			}
		}
	}
}

func TestBrokenArmorIsRefused(t *testing.T) {
	text := armored(t, pattern(300))
	for name, variant := range map[string]string{
		"nothing":             "",
		"no begin":            strings.TrimPrefix(text, armorBegin),
		"no end":              strings.TrimSuffix(text, armorEnd+"\n"),
		"cut in a line":       text[:100],
		"text after the end":  text + "x",
		"a second envelope":   text + text,
		"no base64":           strings.Replace(text, "AAEC", "A*EC", 1),
		"an endless line":     armorBegin + "\n" + strings.Repeat("A", 100_000),
		"padding in a middle": strings.Replace(text, "AAECAwQF", "AAECAw==", 1),
	} {
		got, err := io.ReadAll(newArmorReader(bufio.NewReader(strings.NewReader(variant))))
		if !errors.Is(err, errEnvelope) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(armored(f, encrypted(f, pattern(100)))))
	f.Add([]byte(armored(f, encrypted(f, nil))))
	f.Add([]byte(armorBegin + "\n" + armorEnd))
	genuine := pattern(100)
	f.Fuzz(func(t *testing.T, data []byte) {
		var b bytes.Buffer
		_, err := decryptStream(&b, newArmorReader(bufio.NewReader(bytes.NewReader(data))), testKey, testBound)
		if err == nil && !bytes.Equal(b.Bytes(), genuine) {
			t.Errorf("%q was taken for genuine", b.Bytes())
		}
	})
}
