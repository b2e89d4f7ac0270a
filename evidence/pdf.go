package evidence

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// PDFSeal says what a sealed PDF shows about its seal.
type PDFSeal struct {
	Name   string // who seals
	Reason string
	At     time.Time
}

var (
	startXref  = regexp.MustCompile(`startxref\s+(\d+)\s+%%EOF\s*$`)
	trailerTag = regexp.MustCompile(`/(Size|Root|Info)\s+(\d+)`)
	firstPage  = regexp.MustCompile(`(?m)^(\d+) 0 obj\s*<<\s*/Type /Page\b[^s]`)
)

// SealPDF adds an invisible PAdES signature (ETSI.CAdES.detached) to a PDF that
// the PDF library of the letter made, as an incremental update: the pages stay
// byte for byte as they were.
func SealPDF(pdf []byte, p PDFSeal, s Sealer) ([]byte, error) {
	d, err := readPDF(pdf)
	if err != nil {
		return nil, fmt.Errorf("sealing a PDF: %w", err)
	}
	room, err := s.room()
	if err != nil {
		return nil, err
	}
	out, from, to := d.update(p, room)
	rangeText := fmt.Sprintf("/ByteRange [0 %d %d %d]", from, to, len(out)-to)
	hole := bytes.Index(out, []byte(byteRangeHole))
	copy(out[hole:], rangeText+strings.Repeat(" ", len(byteRangeHole)-len(rangeText)))
	cms, err := s.seal(append(bytes.Clone(out[:from]), out[to:]...))
	if err != nil {
		return nil, err
	}
	if len(cms) > room {
		return nil, fmt.Errorf("sealing a PDF: the signature has %d bytes, there is room for %d", len(cms), room)
	}
	hex.Encode(out[from+1:], cms)
	return out, nil
}

// pdfFile is what an update must know of a PDF.
type pdfFile struct {
	raw               []byte
	xref              int
	size, root, info  int
	page              int
	catalog, pageDict string // the dictionaries, without their brackets
}

func readPDF(raw []byte) (pdfFile, error) {
	d := pdfFile{raw: raw}
	m := startXref.FindSubmatch(raw)
	if m == nil {
		return d, errors.New("no startxref")
	}
	d.xref, _ = strconv.Atoi(string(m[1])) // digits
	at := bytes.LastIndex(raw, []byte("trailer"))
	if at < 0 {
		return d, errors.New("no trailer")
	}
	for _, tag := range trailerTag.FindAllSubmatch(raw[at:], -1) {
		n, _ := strconv.Atoi(string(tag[2])) // digits
		switch string(tag[1]) {
		case "Size":
			d.size = n
		case "Root":
			d.root = n
		case "Info":
			d.info = n
		}
	}
	var err error
	if d.catalog, err = d.dictionary(d.root); err != nil {
		return d, err
	}
	first := firstPage.FindSubmatch(raw)
	if first == nil {
		return d, errors.New("no page")
	}
	d.page, _ = strconv.Atoi(string(first[1])) // digits
	d.pageDict, err = d.dictionary(d.page)
	return d, err
}

// dictionary returns the inside of an object's dictionary.
func (d pdfFile) dictionary(n int) (string, error) {
	head := []byte("\n" + strconv.Itoa(n) + " 0 obj")
	at := bytes.Index(d.raw, head)
	end := -1
	if at >= 0 {
		end = bytes.Index(d.raw[at:], []byte("endobj"))
	}
	if end < 0 {
		return "", fmt.Errorf("object %d is missing", n)
	}
	text := strings.TrimSpace(string(d.raw[at+len(head) : at+end]))
	inner, ok := strings.CutPrefix(text, "<<")
	inner, ok2 := strings.CutSuffix(inner, ">>")
	if !ok || !ok2 {
		return "", fmt.Errorf("object %d is no dictionary", n)
	}
	return inner, nil
}

// byteRangeHole is overwritten once the lengths are known.
var byteRangeHole = "/ByteRange [0 " + strings.Repeat("*", 36) + "]"

// update appends the signature's objects. The hexadecimal string of the signature
// lies between from and to, brackets included, with room for so many bytes.
func (d pdfFile) update(p PDFSeal, room int) (out []byte, from, to int) {
	sig, field := d.size, d.size+1
	b := bytes.NewBuffer(bytes.Clone(d.raw))
	if !bytes.HasSuffix(d.raw, []byte("\n")) {
		b.WriteByte('\n')
	}
	offsets := map[int]int{}
	object := func(n int, format string, args ...any) {
		offsets[n] = b.Len()
		fmt.Fprintf(b, "%d 0 obj\n<<", n)
		fmt.Fprintf(b, format, args...)
		b.WriteString(">>\nendobj\n")
	}
	object(d.root, "%s\n/AcroForm <</Fields [%d 0 R] /SigFlags 3>>\n", d.catalog, field)
	object(d.page, "%s\n/Annots [%d 0 R]\n", d.pageDict, field)
	object(field, "/Type /Annot /Subtype /Widget /FT /Sig /T (seal) /F 132 /Rect [0 0 0 0] /P %d 0 R /V %d 0 R", d.page, sig)

	offsets[sig] = b.Len()
	fmt.Fprintf(b, "%d 0 obj\n<</Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached\n%s\n/Contents ", sig, byteRangeHole)
	from = b.Len()
	b.WriteString("<" + strings.Repeat("0", 2*room) + ">")
	to = b.Len()
	fmt.Fprintf(b, "\n/Name %s /Reason %s /M (D:%s+08'00')>>\nendobj\n", pdfText(p.Name), pdfText(p.Reason), p.At.In(shanghai).Format("20060102150405"))

	xref := b.Len()
	b.WriteString("xref\n")
	for _, n := range sortedKeys(offsets) {
		fmt.Fprintf(b, "%d 1\n%010d 00000 n \n", n, offsets[n])
	}
	fmt.Fprintf(b, "trailer\n<</Size %d /Root %d 0 R /Info %d 0 R /Prev %d>>\nstartxref\n%d\n%%%%EOF\n", d.size+2, d.root, d.info, d.xref, xref)
	return b.Bytes(), from, to
}

var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

// pdfText is a text string in UTF-16 (ISO 32000-1 §7.9.2.2).
func pdfText(s string) string {
	out := strings.Builder{}
	out.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&out, "%04X", u)
	}
	out.WriteString(">")
	return out.String()
}

var sealedRange = regexp.MustCompile(`/ByteRange \[0 (\d+) (\d+) (\d+)\]`)

// CheckPDF verifies the seal of a PDF: that it covers the whole file but for
// itself, that not a byte has changed, and that the root vouches for who sealed.
func CheckPDF(pdf []byte, root *x509.Certificate, at time.Time) (*x509.Certificate, error) {
	found := sealedRange.FindAllSubmatch(pdf, -1)
	if len(found) != 1 {
		return nil, fmt.Errorf("the PDF has %d seals, want one", len(found))
	}
	var n [3]int
	for i := range n {
		v, err := strconv.Atoi(string(found[0][i+1]))
		if err != nil || v > len(pdf) {
			return nil, errors.New("the seal's range cannot be read")
		}
		n[i] = v
	}
	from, to := n[0], n[1]
	if from >= to || to+n[2] != len(pdf) || pdf[from] != '<' || pdf[to-1] != '>' {
		return nil, errors.New("the seal does not cover the whole document")
	}
	written := string(pdf[from+1 : to-1])
	der, err := hex.DecodeString(written)
	if err != nil || hex.EncodeToString(der) != written {
		return nil, errors.New("the seal cannot be read")
	}
	cms, padding := cutPadding(der)
	if len(bytes.Trim(padding, "\x00")) > 0 {
		return nil, errors.New("something was written behind the seal")
	}
	return checkSeal(cms, append(bytes.Clone(pdf[:from]), pdf[to:]...), root, at)
}

// cutPadding cuts what is behind a DER structure.
func cutPadding(der []byte) (structure, padding []byte) {
	if len(der) < 4 || der[0] != 0x30 || der[1] != 0x82 {
		return der, nil
	}
	end := min(len(der), 4+int(der[2])<<8+int(der[3]))
	return der[:end], der[end:]
}
