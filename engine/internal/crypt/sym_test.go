package crypt_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/emmansun/gmsm/sm4"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

const (
	nistPlain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	nistKey   = "2b7e151628aed2a6abf7158809cf4f3c"
	nistIV    = "000102030405060708090a0b0c0d0e0f"
	nistCtrIV = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
)

// The vectors of SP 800-38A for AES-128.
func TestModesMatchSP800_38A(t *testing.T) {
	for name, c := range map[string]struct {
		mode     uint16
		iv, want string
	}{
		"ECB": {crypt.AlgECB, "", "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4"},
		"CBC": {crypt.AlgCBC, nistIV, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"},
		"CFB": {crypt.AlgCFB, nistIV, "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6"},
		"OFB": {crypt.AlgOFB, nistIV, "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed8259740051e9c5fecf64344f7a82260edcc304c6528f659c77866a510d9c1d6ae5e"},
		"CTR": {crypt.AlgCTR, nistCtrIV, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"},
	} {
		t.Run(name, func(t *testing.T) {
			key, iv, data := unhex(t, nistKey), unhex(t, c.iv), unhex(t, nistPlain)
			// In two steps: the vector through the moved iv proves the chaining as well.
			for _, part := range [][]byte{data[:16], data[16:]} {
				if err := crypt.Encrypt(crypt.AlgAES, c.mode, key, iv, part); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(data, unhex(t, c.want)) {
				t.Errorf("encrypted to %x", data)
			}
			iv = unhex(t, c.iv)
			for _, part := range [][]byte{data[:32], data[32:]} {
				if err := crypt.Decrypt(crypt.AlgAES, c.mode, key, iv, part); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(data, unhex(t, nistPlain)) {
				t.Errorf("decrypted to %x", data)
			}
		})
	}
}

// The example of GB/T 32907-2016, A.1.
func TestSM4MatchesTheStandard(t *testing.T) {
	key, data := unhex(t, "0123456789abcdeffedcba9876543210"), unhex(t, "0123456789abcdeffedcba9876543210")
	if err := crypt.Encrypt(crypt.AlgSM4, crypt.AlgECB, key, nil, data); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, unhex(t, "681edf34d206965e86b3e94f536e4246")) {
		t.Errorf("encrypted to %x", data)
	}
}

func TestCFBLeavesTheIVAloneAndTakesAnyLength(t *testing.T) {
	key, iv, data := unhex(t, nistKey), unhex(t, nistIV), unhex(t, nistPlain)[:21]
	if err := crypt.CFB(crypt.AlgAES, key, iv, data, true); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, unhex(t, "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0")) || !bytes.Equal(iv, unhex(t, nistIV)) {
		t.Errorf("data %x, iv %x", data, iv)
	}
	if err := crypt.CFB(crypt.AlgAES, key, iv, data, false); err != nil || !bytes.Equal(data, unhex(t, nistPlain)[:21]) {
		t.Errorf("err %v, data %x", err, data)
	}
}

func TestCounterCarriesOverTheWholeBlock(t *testing.T) {
	iv := bytes.Repeat([]byte{0xff}, 16)
	iv[0] = 7
	if err := crypt.Encrypt(crypt.AlgAES, crypt.AlgCTR, unhex(t, nistKey), iv, make([]byte, 17)); err != nil {
		t.Fatal(err)
	}
	if want := append([]byte{8}, append(make([]byte, 14), 1)...); !bytes.Equal(iv, want) {
		t.Errorf("iv %x, want %x", iv, want)
	}
}

func TestCiphersRefuseWhatDoesNotFit(t *testing.T) {
	iv, block := make([]byte, 16), make([]byte, 16)
	for name, c := range map[string]struct {
		alg, mode     uint16
		key, iv, data []byte
		want          error
	}{
		"a key of 17 bytes":      {crypt.AlgAES, crypt.AlgCFB, make([]byte, 17), iv, block, crypt.ErrCipher},
		"SM4 with 256 bits":      {crypt.AlgSM4, crypt.AlgCFB, make([]byte, 32), iv, block, crypt.ErrCipher},
		"a hash for a cipher":    {crypt.AlgSHA1, crypt.AlgCFB, block, iv, block, crypt.ErrCipher},
		"a cipher for a mode":    {crypt.AlgAES, crypt.AlgAES, block, iv, block, crypt.ErrCipher},
		"a short iv":             {crypt.AlgAES, crypt.AlgCTR, block, iv[:15], block, crypt.ErrCipher},
		"half a block under CBC": {crypt.AlgAES, crypt.AlgCBC, block, iv, block[:8], crypt.ErrBlocks},
		"half a block under ECB": {crypt.AlgAES, crypt.AlgECB, block, nil, block[:8], crypt.ErrBlocks},
	} {
		if err := crypt.Encrypt(c.alg, c.mode, c.key, c.iv, c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// gmsm is another implementation.
func TestSM4AgreesWithGmsm(t *testing.T) {
	d := stream("sm4")
	for range 200 {
		key, block := make([]byte, 16), make([]byte, 16)
		d.Read(key)
		d.Read(block)
		theirs, err := sm4.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 16)
		theirs.Encrypt(want, block)
		got := bytes.Clone(block)
		if err := crypt.Encrypt(crypt.AlgSM4, crypt.AlgECB, key, nil, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("key %x, block %x: %x, want %x (%v)", key, block, got, want, err)
		}
		if err := crypt.Decrypt(crypt.AlgSM4, crypt.AlgECB, key, nil, got); err != nil || !bytes.Equal(got, block) {
			t.Fatalf("key %x: %x came back as %x (%v)", key, block, got, err)
		}
	}
}
