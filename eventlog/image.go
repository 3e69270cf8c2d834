package eventlog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// ImageLoad is UEFI_IMAGE_LOAD_EVENT: an EFI image that firmware or a loader started. The digest is that of the image
// (Authenticode), not of this data.
type ImageLoad struct {
	Location Address     `json:"location"`
	Size     uint64      `json:"size,string"`
	LinkTime Address     `json:"link_time_address"`
	Path     *DevicePath `json:"path,omitempty"`
}

// Kind of image loads.
func (*ImageLoad) Kind() string { return "image_load" }

func (i *ImageLoad) String() string {
	if i.Path == nil || i.Path.Text == "" {
		return fmt.Sprintf("image of %d bytes without a path", i.Size)
	}
	return i.Path.Text
}

// File is the last component of the image's path, "" where it has none.
func (i *ImageLoad) File() string {
	if i.Path == nil {
		return ""
	}
	return i.Path.File[strings.LastIndexAny(i.Path.File, `\/`)+1:]
}

func decodeImageLoad(e *Event) (Decoded, error) {
	r := wire.LE(e.Data)
	i := &ImageLoad{Location: Address(r.U64()), Size: r.U64(), LinkTime: Address(r.U64())}
	pathLen := r.U64()
	if r.Err() != nil {
		return opaque(e.Data), r.Err()
	}
	if pathLen > uint64(r.Len()) {
		return i, fmt.Errorf("device path of %d bytes, %d left", pathLen, r.Len())
	}
	if pathLen == 0 {
		return i, nil
	}
	var err error
	i.Path, err = parseDevicePath(r.Bytes(int(pathLen)))
	return i, err
}

// Blob is a piece of firmware or microcode by address, or just by name.
type Blob struct {
	Description string  `json:"description,omitempty"`
	Base        Address `json:"base"`
	Size        uint64  `json:"size,string"`
}

// Kind of firmware blobs.
func (*Blob) Kind() string { return "firmware_blob" }

func (b *Blob) String() string {
	if b.Base == 0 && b.Size == 0 {
		return b.Description
	}
	where := fmt.Sprintf("%d bytes at %s", b.Size, b.Base)
	if b.Description == "" {
		return where
	}
	return b.Description + ", " + where
}

// decodeBlob reads the forms that occur: text, address and length, or a described pair of the two. Nine bytes of text
// are no blob, whatever the type says (Lenovo's EV_POST_CODE), so text is tried first.
func decodeBlob(e *Event) (Decoded, error) {
	if text, ok := anyText(e.Data); ok && len(e.Data) != 16 {
		return &Blob{Description: text}, nil
	}
	if e.Type == EVCPUMicrocode && len(e.Data) != 16 {
		return opaque(e.Data), nil // the update itself, or a header of the maker's
	}
	r := wire.LE(e.Data)
	b := &Blob{}
	if e.Type == EVEFIFirmwareBlob2 || e.Type == EVPostCode2 || len(e.Data) > 16 {
		b.Description = string(r.Bytes(int(r.U8())))
	}
	b.Base, b.Size = Address(r.U64()), r.U64()
	if r.Err() != nil {
		return opaque(e.Data), r.Err()
	}
	if r.Len() > 0 {
		return b, fmt.Errorf("%d bytes after the blob", r.Len())
	}
	return b, nil
}

// Handoff is the list of configuration tables whose contents were measured.
type Handoff struct {
	Description string         `json:"description,omitempty"`
	Tables      []HandoffTable `json:"tables"`
}

// HandoffTable is EFI_CONFIGURATION_TABLE.
type HandoffTable struct {
	GUID    GUID    `json:"guid"`
	Name    string  `json:"name,omitempty"`
	Address Address `json:"address"`
}

// Kind of handoff tables.
func (*Handoff) Kind() string { return "handoff_tables" }

func (h *Handoff) String() string {
	var names []string
	if h.Description != "" {
		names = append(names, h.Description)
	}
	for _, t := range h.Tables {
		name := t.Name
		if name == "" {
			name = t.GUID.String()
		}
		names = append(names, name+" at "+t.Address.String())
	}
	return "tables: " + strings.Join(names, ", ")
}

func decodeHandoff(e *Event) (Decoded, error) {
	r := wire.LE(e.Data)
	h := &Handoff{Tables: []HandoffTable{}}
	if e.Type == EVEFIHandoffTables2 {
		h.Description = string(r.Bytes(int(r.U8())))
	}
	count := r.U64()
	for i := uint64(0); i < count && r.Len() >= 24; i++ {
		t := HandoffTable{GUID: readGUID(r), Address: Address(r.U64())}
		t.Name = t.GUID.Name()
		h.Tables = append(h.Tables, t)
	}
	if r.Err() != nil {
		return opaque(e.Data), r.Err()
	}
	if count > uint64(len(h.Tables)) {
		return h, fmt.Errorf("%d tables announced, %d there", count, len(h.Tables))
	}
	return h, nil
}

// GPT is UEFI_GPT_DATA: the partition table of the boot disk.
type GPT struct {
	Disk       GUID        `json:"disk"`
	Partitions []Partition `json:"partitions"`
}

// Partition is a used entry of the table.
type Partition struct {
	Type     GUID   `json:"type"`
	TypeName string `json:"type_name,omitempty"`
	ID       GUID   `json:"id"`
	First    uint64 `json:"first_lba,string"`
	Last     uint64 `json:"last_lba,string"`
	Flags    string `json:"attributes"`
	Name     string `json:"name"`
}

// Kind of partition tables.
func (*GPT) Kind() string { return "gpt" }

func (g *GPT) String() string {
	names := make([]string, 0, len(g.Partitions))
	for _, p := range g.Partitions {
		name := p.Name
		if name == "" {
			name = p.TypeName
		}
		if name == "" {
			name = p.Type.String()
		}
		names = append(names, name)
	}
	count := "1 partition"
	if n := len(g.Partitions); n != 1 {
		count = strconv.Itoa(n) + " partitions"
	}
	return fmt.Sprintf("disk %s with %s: %s", g.Disk, count, strings.Join(names, ", "))
}

func decodeGPT(e *Event) (Decoded, error) {
	r := wire.LE(e.Data)
	if string(r.Bytes(8)) != "EFI PART" {
		return opaque(e.Data), fmt.Errorf("no GPT header")
	}
	r.Bytes(4 + 4 + 4 + 4 + 8*4) // revision, sizes and CRCs; the places of the headers and the usable sectors
	g := &GPT{Disk: readGUID(r), Partitions: []Partition{}}
	r.Bytes(8 + 4)
	each := uint64(r.U32())
	r.U32()
	count := r.U64()
	if r.Err() != nil {
		return opaque(e.Data), r.Err()
	}
	if each < 128 || each > 4096 {
		return g, fmt.Errorf("partition entries of %d bytes", each)
	}
	for i := uint64(0); i < count && uint64(r.Len()) >= each; i++ {
		g.Partitions = append(g.Partitions, parsePartition(wire.LE(r.Bytes(int(each)))))
	}
	if count > uint64(len(g.Partitions)) {
		return g, fmt.Errorf("%d partitions announced, %d there", count, len(g.Partitions))
	}
	return g, nil
}

func parsePartition(r *wire.Reader) Partition {
	p := Partition{Type: readGUID(r), ID: readGUID(r), First: r.U64(), Last: r.U64()}
	p.Flags = "0x" + strconv.FormatUint(r.U64(), 16)
	p.TypeName, p.Name = p.Type.Name(), decodeUTF16(r.Bytes(72))
	return p
}
