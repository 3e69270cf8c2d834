package predict

import (
	"bytes"
	"path"
	"strconv"
	"strings"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// memdiskDevice is the file system in GRUB's image.
const memdiskDevice = "(memdisk)"

// maxArchive bounds the files of a memdisk that are looked through.
const maxArchive = 10000

// file reads a file of the memdisk: a tar archive, as grub-mkstandalone makes it, or a small FAT, as Debian's GRUB has one.
func (e *grubImage) file(name string) ([]byte, bool) {
	if !strings.HasPrefix(name, memdiskDevice) || len(e.memdisk) == 0 {
		return nil, false
	}
	name = strings.TrimPrefix(onPartition(name), "/")
	if data, ok := tarFile(e.memdisk, name); ok {
		return data, true
	}
	return fatFile(e.memdisk, name)
}

// tarFile reads a file of an archive (POSIX.1, "ustar Interchange Format").
func tarFile(archive []byte, name string) ([]byte, bool) {
	const block = 512
	for range maxArchive {
		if len(archive) < block || string(archive[257:262]) != "ustar" {
			return nil, false
		}
		field := func(from, to int) string {
			text, _, _ := strings.Cut(string(archive[from:to]), "\x00")
			return text
		}
		size, err := strconv.ParseUint(strings.TrimSpace(field(124, 136)), 8, 32)
		body := archive[block:]
		if err != nil || size > uint64(len(body)) {
			return nil, false
		}
		kind := archive[156]
		if full := path.Join(field(345, 500), field(0, 100)); (kind == '0' || kind == 0) && path.Clean(full) == name {
			return body[:size], true
		}
		archive = body[min(uint64(len(body)), (size+block-1)/block*block):]
	}
	return nil, false
}

// fatFile reads a file in the first folder of a FAT with 12 or 16 bits, by its short name (Microsoft, "FAT: General Overview of
// On-Disk Format").
func fatFile(disk []byte, name string) ([]byte, bool) {
	if len(disk) < 512 || disk[510] != 0x55 || disk[511] != 0xaa {
		return nil, false
	}
	r := wire.LE(disk[11:])
	sector, perCluster, reserved := int(r.U16()), int(r.U8()), int(r.U16())
	fats, entries, small := int(r.U8()), int(r.U16()), int(r.U16())
	r.U8()
	perFAT := int(r.U16())
	root := (reserved + fats*perFAT) * sector
	data := root + (entries*32+max(sector, 1)-1)/max(sector, 1)*sector
	if sector < 512 || perCluster == 0 || entries == 0 || data > len(disk) {
		return nil, false
	}
	sectors := small
	if sectors == 0 {
		sectors = len(disk) / sector
	}
	cluster := perCluster * sector
	wide := (sectors-data/sector)/perCluster >= 4085
	table := disk[min(reserved*sector, root):root]
	next := func(n int) int {
		at := n + n/2
		if wide {
			at = 2 * n
		}
		if at+2 > len(table) {
			return 0
		}
		v := int(table[at]) | int(table[at+1])<<8
		switch {
		case wide:
			return v
		case n%2 == 1:
			return v >> 4
		}
		return v & 0xfff
	}
	base, ext, _ := strings.Cut(strings.ToUpper(name), ".")
	if len(base) > 8 || len(ext) > 3 {
		return nil, false
	}
	short := []byte(base + strings.Repeat(" ", 8-len(base)) + ext + strings.Repeat(" ", 3-len(ext)))
	for at := root; at+32 <= data; at += 32 {
		e := disk[at : at+32]
		const folderOrLabel = 0x18
		if !bytes.Equal(e[:11], short) || e[11]&folderOrLabel != 0 {
			continue
		}
		tail := wire.LE(e[26:])
		n, size := int(tail.U16()), int64(tail.U32())
		var content []byte
		for int64(len(content)) < size {
			from := data + (n-2)*cluster
			if n < 2 || from+cluster > len(disk) || len(content) > len(disk) { // the end, or a ring
				return nil, false
			}
			content = append(content, disk[from:from+cluster]...)
			n = next(n)
		}
		return content[:size], true
	}
	return nil, false
}
