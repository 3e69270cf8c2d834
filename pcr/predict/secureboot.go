package predict

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"

	"github.com/vtpmctl/vtpmctl/eventlog"
	"github.com/vtpmctl/vtpmctl/internal/authenticode"
	"github.com/vtpmctl/vtpmctl/internal/fail"
	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// variable returns the step that measured a variable of Secure Boot's configuration, nil where there is none.
func (p *plan) variable(name string) *step {
	for _, s := range p.steps {
		if d, ok := s.decoded.(*eventlog.Variable); ok && d.Name == name && s.event.Type == eventlog.EVEFIVariableDriverConfig && !s.gone {
			return s
		}
	}
	return nil
}

// contentOf is what a variable holds in this future.
func (s *step) contentOf() []byte {
	if d, ok := s.decoded.(*eventlog.Variable); ok {
		return d.Content()
	}
	return nil
}

// secureBoot tells whether Secure Boot is on in this future.
func (p *plan) secureBoot() bool {
	s := p.variable("SecureBoot")
	return s != nil && bytes.Equal(s.contentOf(), []byte{1})
}

// measureVariable gives the step's variable another content (PFP, "UEFI_VARIABLE_DATA").
func (s *step) measureVariable(content []byte) {
	r := wire.LE(s.event.Data)
	owner, length := r.Bytes(16), r.U64()
	r.U64()
	name := r.Bytes(int(length) * 2) // it decoded, so this is there
	data := wire.NewLE().Bytes(owner).U64(length).U64(uint64(len(content))).Bytes(name).Bytes(content).Out()
	s.event.Data = data
	s.decoded, _ = s.event.Decode()
	if s.check.Rule == "variable content only" {
		data = content
	}
	s.measure(data)
}

// database replaces db or dbx.
func (p *plan) database(c Change) error {
	s := p.variable(string(c.Kind))
	if s == nil {
		return p.absent(c.Kind)
	}
	lists, update, err := signatureLists(c.Data)
	if err != nil {
		return err
	}
	if update {
		lists = appendLists(s.contentOf(), lists)
	}
	s.measureVariable(lists)
	if c.Kind == DBX {
		p.revoked(lists)
		return nil
	}
	for _, s := range p.steps {
		d, ok := s.decoded.(*eventlog.Variable)
		if ok && s.event.Type == eventlog.EVEFIVariableAuthority && d.Name == "db" && !bytes.Contains(lists, d.Content()) {
			s.block("the new db does not have what vouched for an image of this boot")
		}
	}
	return nil
}

// revoked names the images of this boot that a new dbx forbids.
func (p *plan) revoked(lists []byte) {
	for _, s := range p.steps {
		if s.event.Type == eventlog.EVEFIBootServicesApp && !s.gone {
			if d := s.event.Digest(eventlog.SHA256); d != nil && bytes.Contains(lists, d) {
				p.note("the new dbx forbids %s, which this machine boots", s.what())
			}
		}
	}
}

// signatureLists takes EFI_SIGNATURE_LISTs out of the forms they come in: bare; after the four bytes of attributes that
// efivarfs puts first; and in a signed update (EFI_VARIABLE_AUTHENTICATION_2), which is appended to what is there.
func signatureLists(data []byte) (lists []byte, update bool, err error) {
	const timeSize, fixed = 16, 8 + 16 // EFI_TIME; WIN_CERTIFICATE and its type
	if len(data) > timeSize+fixed {
		size := uint64(binary.LittleEndian.Uint32(data[timeSize:]))
		kind := binary.LittleEndian.Uint16(data[timeSize+6:])
		if kind == 0x0ef1 && size >= fixed && size <= uint64(len(data)-timeSize) { // WIN_CERT_TYPE_EFI_GUID
			lists, update = data[timeSize+size:], true
			return lists, update, checkLists(lists)
		}
	}
	if checkLists(data) == nil {
		return data, false, nil
	}
	if len(data) > 4 && checkLists(data[4:]) == nil {
		return data[4:], false, nil
	}
	return nil, false, checkLists(data)
}

// list is one EFI_SIGNATURE_LIST.
type list struct {
	head    []byte // type, the three sizes, and the header
	size    int    // of an entry
	entries [][]byte
}

const listHead = 16 + 3*4

// splitLists reads lists to the end of data.
func splitLists(data []byte) (all []list, err error) {
	for r := wire.LE(data); r.Len() > 0; {
		at := r.Offset()
		r.Bytes(16)
		size, header, each := uint64(r.U32()), uint64(r.U32()), uint64(r.U32())
		if r.Err() != nil || size < listHead+header || each < 16 || size > uint64(len(data)-at) || (size-listHead-header)%each != 0 {
			return nil, fail.E(fail.BadInput, "offset %d: no EFI signature list", at).
				Hint("wanted are signature lists (.esl), the variable's file in efivarfs, or a signed update (.auth, dbxupdate.bin)")
		}
		l := list{head: data[at : uint64(at)+listHead+header], size: int(each)}
		r.Bytes(int(header))
		for n := (size - listHead - header) / each; n > 0; n-- {
			l.entries = append(l.entries, r.Bytes(int(each)))
		}
		all = append(all, l)
	}
	return all, nil
}

func checkLists(data []byte) error {
	_, err := splitLists(data)
	return err
}

// appendLists appends an update the way firmware does: entries that are there already are left out (EDK II,
// FilterSignatureList).
func appendLists(old, update []byte) []byte {
	have, _ := splitLists(old)
	fresh, _ := splitLists(update)
	w := wire.NewLE().Bytes(old)
	for _, l := range fresh {
		var keep [][]byte
		for _, e := range l.entries {
			if !listed(have, l, e) {
				keep = append(keep, e)
			}
		}
		if len(keep) == 0 {
			continue
		}
		w.Bytes(l.head[:16]).U32(uint32(len(l.head) + l.size*len(keep))).Bytes(l.head[20:])
		for _, e := range keep {
			w.Bytes(e)
		}
	}
	return w.Out()
}

func listed(have []list, like list, entry []byte) bool {
	for _, l := range have {
		if l.size != like.size || !bytes.Equal(l.head[:16], like.head[:16]) {
			continue
		}
		for _, e := range l.entries {
			if bytes.Equal(e, entry) {
				return true
			}
		}
	}
	return false
}

// secureBootOff switches Secure Boot off and leaves its keys in place: nothing is verified, so nothing is vouched for.
func (p *plan) secureBootOff(c Change) error {
	if c.Name != "off" {
		return fail.E(fail.Usage, "--secure-boot takes off, not %q", c.Name).
			Hint("what switching it on will measure depends on keys that this log does not have")
	}
	s := p.variable("SecureBoot")
	if s == nil {
		return p.absent(c.Kind)
	}
	if !p.secureBoot() {
		return nil
	}
	s.measureVariable([]byte{0})
	for _, s := range p.steps {
		if d, ok := s.decoded.(*eventlog.Variable); ok && s.event.Type == eventlog.EVEFIVariableAuthority && vouches(d) {
			s.remove()
		}
	}
	p.unverified()
	return nil
}

// vouches tells an authority event that an image was accepted for from one of shim's that are measured in any case.
func vouches(d *eventlog.Variable) bool {
	switch d.Name {
	case "SbatLevel", "MokListTrusted", "MokSBState", "MokPolicy":
		return false
	}
	return true
}

// unverified follows what loaders do otherwise without Secure Boot.
func (p *plan) unverified() {
	const why = "without Secure Boot GRUB starts the kernel in another way, which depends on its build"
	if len(p.having(roleGRUB)) > 0 {
		for _, r := range []role{roleKernel, roleOptions, roleInitrd} {
			for _, s := range p.having(r) {
				s.block(why)
			}
		}
	}
	if p.withoutImage() {
		p.loadedAgain()
	}
	for _, s := range p.having(roleUKI) {
		image, err := authenticode.Parse(p.bytesOf(s))
		if err != nil {
			s.block("the image is not at hand: whether its kernel is measured depends on the stub")
			continue
		}
		if len(p.having(roleInner)) > 0 || !measuresKernel(stubVersion(image), false) || image.Section(".linux") == nil {
			continue
		}
		inner := p.insert(1+indexOf(p.steps, s), imagePCR, eventlog.EVEFIBootServicesApp, make([]byte, 32))
		inner.role = roleInner
		if err := inner.measureImage(image.Section(".linux").Data); err != nil {
			inner.block("the kernel in the image is no EFI image")
		}
	}
}

// authorities looks at who vouches for new images under Secure Boot: the certificate is measured into PCR 7.
func (p *plan) authorities() {
	if !p.secureBoot() {
		return
	}
	for _, s := range p.steps {
		if s.given == nil || s.gone || s.event.Type != eventlog.EVEFIBootServicesApp || s.role == roleInner {
			continue
		}
		p.authority(s)
	}
}

// authority finds the certificate that lets an image run: one that vouched for an image of this boot, so that PCR 7 stays
// as it is, or one of db that takes the place of the only one that did.
func (p *plan) authority(s *step) {
	image, err := authenticode.Parse(s.given)
	if err != nil {
		return
	}
	chain, _ := image.Certificates()
	var known []*step
	for _, a := range p.steps {
		d, ok := a.decoded.(*eventlog.Variable)
		if !ok || a.gone || a.event.Type != eventlog.EVEFIVariableAuthority || !vouches(d) {
			continue
		}
		if leadsTo(chain, d.Content()) {
			return
		}
		known = append(known, a)
	}
	what := s.what()
	if len(known) == 0 {
		return // this boot's images were accepted without being vouched for, so firmware measures no authority
	}
	if entry := p.entryFor(chain); entry != nil && len(known) == 1 {
		known[0].measureVariable(entry)
		return
	}
	switch {
	case !image.Signed():
		known[0].block("the new image is not signed, and Secure Boot is on: " + what)
	default:
		known[0].block("nothing in this boot vouched for the signer of the new image: " + what)
	}
}

// entryFor is the entry of db that vouches for a chain: owner and certificate.
func (p *plan) entryFor(chain []*x509.Certificate) []byte {
	db := p.variable("db")
	if db == nil {
		return nil
	}
	lists, _ := splitLists(db.contentOf())
	for _, l := range lists {
		for _, e := range l.entries {
			if leadsTo(chain, e) {
				return e
			}
		}
	}
	return nil
}

// leadsTo tells whether a certificate of the chain is, or names as its issuer, the one in content: DER, with the GUID of
// an owner before it or without. No signature is verified: firmware will do that.
func leadsTo(chain []*x509.Certificate, content []byte) bool {
	ca, err := x509.ParseCertificate(content)
	if err != nil && len(content) > 16 {
		ca, err = x509.ParseCertificate(content[16:])
	}
	if err != nil {
		return false
	}
	for _, c := range chain {
		if bytes.Equal(c.RawIssuer, ca.RawSubject) || bytes.Equal(c.Raw, ca.Raw) {
			return true
		}
	}
	return false
}

// newShim looks at what a new shim brings along: its vendor's certificate and its SBAT level are measured too.
func (p *plan) newShim(s *step, c Change) {
	fresh, err := authenticode.Parse(c.Data)
	old, oldErr := authenticode.Parse(p.bytesOf(s))
	if err != nil {
		return // measureImage says so
	}
	same := func(name string) bool {
		if oldErr != nil {
			return false
		}
		a, b := old.Section(name), fresh.Section(name)
		return a == nil && b == nil || a != nil && b != nil && sha256.Sum256(a.Data) == sha256.Sum256(b.Data)
	}
	for _, a := range p.steps {
		d, ok := a.decoded.(*eventlog.Variable)
		if !ok || a.event.Type != eventlog.EVEFIVariableAuthority || d.GUID.Name() != "shim" {
			continue
		}
		switch {
		case d.Name == "SbatLevel" && !same(".sbatlevel"):
			a.block("the new shim may bring another SBAT level")
		case (d.Name == "Shim" || d.Name == "vendor_db") && !same(".vendor_cert"):
			a.block("the new shim may bring another vendor certificate")
		}
	}
}

// shimOwner is the owner that shim's tools give to certificates.
var shimOwner = []byte{0x50, 0xab, 0x5d, 0x60, 0x46, 0xe0, 0x00, 0x43, 0xab, 0xb6, 0x3d, 0xd8, 0x10, 0xdd, 0x8b, 0x23}

// certX509 is EFI_CERT_X509_GUID.
var certX509 = []byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}

// mok replaces shim's list of machine owner keys. A certificate alone becomes a list of one.
func (p *plan) mok(c Change) error {
	var lists []byte
	if cert, err := x509.ParseCertificate(c.Data); err == nil {
		entry := append(bytes.Clone(shimOwner), cert.Raw...)
		lists = wire.NewLE().Bytes(certX509).U32(uint32(listHead + len(entry))).U32(0).U32(uint32(len(entry))).Bytes(entry).Out()
	} else if lists, _, err = signatureLists(c.Data); err != nil {
		return err
	}
	first := -1
	for i, s := range p.steps {
		if s.role != roleMok || s.event.PCR != shimPCR {
			continue
		}
		if d, ok := s.decoded.(*eventlog.Loader); ok && d.Text == "MokList" {
			s.measure(lists)
			return nil
		}
		if first < 0 {
			first = i
		}
	}
	if first < 0 {
		for i, s := range p.steps { // shim without any list: the first one comes right after it
			if s.role == roleShim {
				first = i + 1
			}
		}
	}
	if first < 0 {
		return p.absent(c.Kind)
	}
	p.insert(first, shimPCR, eventlog.EVIPL, []byte("MokList\x00"), lists)
	return nil
}
