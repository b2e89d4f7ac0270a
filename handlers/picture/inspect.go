package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"
)

// format decodes one kind of file.
type format struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

var pngMagic = []byte("\x89PNG\r\n\x1a\n")

// inspect tells the format by the first bytes (F34) and walks the file's parts:
// it must end where the picture ends and carry nothing active beside the
// pixels. It also returns the EXIF orientation, 0 if unknown.
func inspect(raw []byte) (format, int, error) {
	switch {
	case bytes.HasPrefix(raw, []byte{0xFF, 0xD8, 0xFF}):
		orientation, err := walkJPEG(raw)
		return jpegFormat, orientation, err
	case bytes.HasPrefix(raw, pngMagic):
		return pngFormat, 0, walkPNG(raw)
	default:
		return format{}, 0, ErrNotAPicture
	}
}

// JPEG markers (ITU-T T.81, table B.1).
const (
	markerTEM  = 0x01
	markerRST0 = 0xD0
	markerRST7 = 0xD7
	markerEOI  = 0xD9
	markerSOS  = 0xDA
	markerAPP0 = 0xE0
	markerAPP1 = 0xE1
	markerAPPF = 0xEF
	markerCOM  = 0xFE
)

func walkJPEG(raw []byte) (orientation int, err error) {
	for i := 2; i+2 <= len(raw); {
		if raw[i] != 0xFF {
			return 0, ErrBroken
		}
		marker := raw[i+1]
		switch {
		case marker == 0xFF: // fill byte
			i++
			continue
		case marker == markerEOI:
			return orientation, checkTail(raw[i+2:])
		case marker == markerTEM || marker >= markerRST0 && marker <= markerRST7:
			i += 2
			continue
		}
		if i+4 > len(raw) {
			return 0, ErrBroken
		}
		end := i + 2 + int(binary.BigEndian.Uint16(raw[i+2:]))
		if end < i+4 || end > len(raw) {
			return 0, ErrBroken
		}
		body := raw[i+4 : end]
		if (marker >= markerAPP0 && marker <= markerAPPF || marker == markerCOM) && active(body) {
			return 0, ErrHidden
		}
		if marker == markerAPP1 && orientation == 0 {
			orientation = exifOrientation(body)
		}
		i = end
		if marker == markerSOS {
			i = endOfScan(raw, i)
		}
	}
	return 0, ErrBroken
}

// endOfScan skips entropy-coded data: the next marker that is neither a stuffed
// zero nor a restart.
func endOfScan(raw []byte, i int) int {
	for ; i+1 < len(raw); i++ {
		if next := raw[i+1]; raw[i] == 0xFF && next != 0 && (next < markerRST0 || next > markerRST7) {
			return i
		}
	}
	return len(raw)
}

// checkTail allows what telephones add behind the picture: padding, a second
// JPEG (depth or gain map, CIPA DC-007), the clip of a live photo and notes of the maker.
func checkTail(tail []byte) error {
	for len(tail) > 0 && (tail[0] == 0 || tail[0] == '\r' || tail[0] == '\n') {
		tail = tail[1:]
	}
	switch {
	case len(tail) == 0:
		return nil
	case active(tail):
		return ErrHidden
	case bytes.HasSuffix(tail, []byte("SEFT")): // what Samsung notes about a photo, such as its time
		return nil
	case bytes.HasPrefix(tail, []byte{0xFF, 0xD8, 0xFF}):
		return nil
	case bytes.Contains(tail[:min(len(tail), 12)], []byte("ftyp")):
		return nil
	default:
		return ErrHidden
	}
}

// walkPNG checks the chunks (PNG, third edition, §5): nothing may follow IEND.
func walkPNG(raw []byte) error {
	for i := len(pngMagic); i+12 <= len(raw); {
		size := int(binary.BigEndian.Uint32(raw[i:]))
		end := i + 12 + size
		if size < 0 || end > len(raw) {
			return ErrBroken
		}
		kind, body := string(raw[i+4:i+8]), raw[i+8:i+8+size]
		switch {
		case kind == "IEND":
			if len(bytes.Trim(raw[end:], "\x00")) > 0 {
				return ErrHidden
			}
			return nil
		case kind != "IDAT" && active(body):
			return ErrHidden
		}
		i = end
	}
	return ErrBroken
}

// signatures of what has no place beside pixels: documents, archives, programs.
var signatures = [][]byte{
	[]byte("<?php"), []byte("<script"), []byte("<svg"), []byte("<html"), []byte("<!doctype"), []byte("<iframe"), []byte("javascript:"),
	[]byte("%pdf-"), []byte("pk\x03\x04"), []byte("pk\x05\x06"), []byte("rar!\x1a"), []byte("7z\xbc\xaf"), []byte("\x7felf"), []byte("this program cannot be run"),
}

// active reports whether data contains such a signature.
func active(data []byte) bool {
	lower := asciiLower(data)
	for _, s := range signatures {
		if bytes.Contains(lower, s) {
			return true
		}
	}
	return false
}

// asciiLower keeps every byte beyond ASCII, which bytes.ToLower would rewrite.
func asciiLower(data []byte) []byte {
	out := bytes.Clone(data)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// exifOrientation reads tag 0x0112 of the first directory of an Exif segment.
func exifOrientation(body []byte) int {
	tiff, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00"))
	if !ok || len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 0
		}
		if order.Uint16(entries) == 0x0112 {
			return int(order.Uint16(entries[8:]))
		}
		entries = entries[12:]
	}
	return 0
}
