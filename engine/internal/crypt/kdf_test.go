package crypt_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDigestsOfABC(t *testing.T) {
	for alg, want := range map[uint16]string{
		crypt.AlgSHA1:   "a9993e364706816aba3e25717850c26c9cd0d89d",
		crypt.AlgSHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		crypt.AlgSHA384: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		crypt.AlgSHA512: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
			"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		crypt.AlgSM3: "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
	} {
		got := crypt.Digest(alg, []byte("a"), nil, []byte("bc"))
		if !bytes.Equal(got, unhex(t, want)) || crypt.HashSize(alg) != len(got) {
			t.Errorf("%#04x: %x, size %d", alg, got, crypt.HashSize(alg))
		}
	}
	if crypt.HashSize(crypt.AlgRSA) != 0 {
		t.Error("RSA passed for a hash")
	}
}

func TestKDFaIsHMACInCounterMode(t *testing.T) {
	block := func(counter byte) []byte {
		mac := hmac.New(sha256.New, []byte("key"))
		mac.Write([]byte("\x00\x00\x00" + string(counter) + "LABEL\x00" + "UV" + "\x00\x00\x02\x09"))
		return mac.Sum(nil)
	}
	want := append(append(block(1), block(2)...), block(3)...)[:66]
	want[0] &= 1 // 521 bits: seven of the 528 must be clear
	if got := crypt.KDFa(crypt.AlgSHA256, []byte("key"), "LABEL", []byte("U"), []byte("V"), 521); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if got := crypt.KDFa(crypt.AlgSHA256, nil, "L", nil, nil, 0); len(got) != 0 {
		t.Errorf("no bits gave %x", got)
	}
}

func TestKDFeHashesTheSecretAfterTheCounter(t *testing.T) {
	one := sha256.Sum256([]byte("\x00\x00\x00\x01zIDENTITY\x00UV"))
	two := sha256.Sum256([]byte("\x00\x00\x00\x02zIDENTITY\x00UV"))
	want := append(one[:], two[:8]...)
	if got := crypt.KDFe(crypt.AlgSHA256, []byte("z"), "IDENTITY", []byte("U"), []byte("V"), 320); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestKDF2AndMGF1DifferOnlyInTheFirstCounter(t *testing.T) {
	zero, one := sha1.Sum([]byte("z\x00\x00\x00\x00")), sha1.Sum([]byte("z\x00\x00\x00\x01"))
	if got := crypt.MGF1(crypt.AlgSHA1, []byte("z"), 30); !bytes.Equal(got, append(zero[:], one[:10]...)) {
		t.Errorf("MGF1 %x", got)
	}
	if got := crypt.KDF2(crypt.AlgSHA1, []byte("z"), nil, 160); !bytes.Equal(got, one[:]) {
		t.Errorf("KDF2 %x", got)
	}
}

func TestXORUndoesItself(t *testing.T) {
	data := []byte("parameter")
	crypt.XOR(crypt.AlgSHA384, []byte("k"), []byte("new"), []byte("old"), data)
	if string(data) == "parameter" {
		t.Error("nothing was hidden")
	}
	crypt.XOR(crypt.AlgSHA384, []byte("k"), []byte("new"), []byte("old"), data)
	if string(data) != "parameter" {
		t.Errorf("came back as %q", data)
	}
}

func TestKDFStreamIsKDFaHoweverItIsRead(t *testing.T) {
	want := crypt.KDFa(crypt.AlgSHA256, []byte("seed"), "label", []byte("context"), nil, 8192)[:1000]
	s := crypt.NewKDFStream(crypt.AlgSHA256, []byte("seed"), []byte("label"), []byte("context"))
	var got []byte
	for _, n := range []int{1, 31, 32, 33, 3, 900} {
		part := make([]byte, n)
		if _, err := io.ReadFull(s, part); err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, want) {
		t.Error("the stream and KDFa part ways")
	}
}
