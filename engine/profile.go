package engine

import (
	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// Profile sets the limits and the identity a TPM is made with. The zero Profile stands for PC.
type Profile struct {
	Name         string
	Manufacturer string   // four characters, TPM_PT_MANUFACTURER
	Banks        []uint16 // PCR banks allocated in a new state, by TPM_ALG identifier; TPM_CAP_PCRS lists them first
	AuditHash    uint16   // of command audit in a new state; zero stands for SHA-256
	Transient    int      // slots for transient objects
	Loaded       int      // slots for loaded sessions
	Sessions     int      // sessions that may exist, loaded or saved
	Persistent   int      // persistent objects
	NVIndices    int      // NV indices
	NVSpace      int      // bytes of NV data in all
	MaxRSA       int      // bits of the largest RSA key; zero stands for 4096
}

// PC is the profile of a PC Client TPM, and the default.
func PC() Profile {
	return Profile{
		Name: "pc", Manufacturer: "VTPC",
		Banks:     []uint16{crypt.AlgSHA1, crypt.AlgSHA256, crypt.AlgSHA384, crypt.AlgSHA512},
		Transient: 3, Loaded: 3, Sessions: 64, Persistent: 64, NVIndices: 256, NVSpace: 1 << 20,
	}
}

// TCM is PC with the algorithms of GM/T 0012 first, for guests that measure with them: an SM3 bank before the SHA-256 one,
// and command audit with SM3. SM2, SM3 and SM4 are in every profile, under the identifiers 0x1b, 0x12 and 0x13 and the curve
// 0x20 that a TCM 2.0 has too.
func TCM() Profile {
	p := PC()
	p.Name, p.Banks, p.AuditHash = "tcm", []uint16{crypt.AlgSM3, crypt.AlgSHA256}, crypt.AlgSM3
	return p
}

// Tiny has the smallest legal limits: for tests of programs that must cope with a full TPM.
func Tiny() Profile {
	p := PC()
	p.Name, p.Banks = "tiny", []uint16{crypt.AlgSHA256}
	p.Sessions, p.Persistent, p.NVIndices, p.NVSpace = 3, 2, 4, 4096
	return p
}

// ProfileByName finds a profile by its Name.
func ProfileByName(name string) (Profile, bool) {
	for _, p := range []Profile{PC(), TCM(), Tiny()} {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}
