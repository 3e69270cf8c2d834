package crypt_test

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

const vectorFile = "testdata/primaries.json"

// primaryVector is a primary key that swtpm made: see testdata/PROVENANCE.md.
type primaryVector struct {
	Name     string `json:"name"`
	Seed     []byte `json:"seed"`
	Template []byte `json:"template"` // name of the template
	Bits     int    `json:"bits,omitempty"`
	Curve    uint16 `json:"curve,omitempty"`
	Public   []byte `json:"public"` // modulus, or x and y
}

func (v primaryVector) check(t *testing.T) {
	d := crypt.NewDerivation(v.Seed, crypt.PrimaryLabel, v.Template, nil)
	if v.Bits == 0 {
		curve, ok := crypt.CurveByID(v.Curve)
		if !ok {
			t.Fatalf("no curve %#x", v.Curve)
		}
		key, err := curve.Generate(d)
		if err != nil {
			t.Fatal(err)
		}
		if got := append(key.Public.X, key.Public.Y...); !bytes.Equal(got, v.Public) {
			t.Errorf("got  %x\nwant %x", got, v.Public)
		}
		return
	}
	key, err := crypt.GenerateRSA(d, v.Bits, 0, never)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key.Modulus(), v.Public) {
		t.Errorf("got  %x\nwant %x", key.Modulus(), v.Public)
	}
}

func primaryVectors(t testing.TB) (vectors []primaryVector) {
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	return vectors
}

func TestPrimariesEqualThoseOfSwtpm(t *testing.T) {
	for _, v := range primaryVectors(t) {
		if testing.Short() && v.Bits > 2048 {
			continue
		}
		t.Run(v.Name, v.check)
	}
}

// The search runs ahead on as many CPUs as there are; the key must not show it.
func TestDerivedKeyDoesNotDependOnTheNumberOfCPUs(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, cpus := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(cpus)
		for _, v := range primaryVectors(t) {
			if strings.HasSuffix(v.Name, "rsa1024") {
				v.check(t)
			}
		}
	}
}

func TestGeneratorMovesOnAfterEachRead(t *testing.T) {
	one := crypt.NewDerivation([]byte("seed"), "label", nil, nil)
	two := *one
	whole, half := make([]byte, 64), make([]byte, 32)
	one.Read(whole)
	two.Read(half)
	if !bytes.Equal(whole[:32], half) {
		t.Error("a copy went another way")
	}
	two.Read(half)
	if bytes.Equal(whole[32:], half) {
		t.Error("two requests gave what one longer request gives")
	}
	one.Stir([]byte("proof"))
	three := *one
	three.Stir([]byte("proof"))
	one.Read(whole)
	three.Read(half)
	if bytes.Equal(whole[:32], half) {
		t.Error("stirring changed nothing")
	}
}

func BenchmarkDeriveRSA2048(b *testing.B) {
	for i := 0; b.Loop(); i++ {
		d := crypt.NewDerivation([]byte{byte(i), byte(i >> 8)}, crypt.PrimaryLabel, nil, nil)
		if _, err := crypt.GenerateRSA(d, 2048, 0, never); err != nil {
			b.Fatal(err)
		}
	}
}
