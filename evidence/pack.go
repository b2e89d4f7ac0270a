package evidence

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// The files of a pack.
const (
	FileFacts     = "evidence.json"
	FileSeal      = "evidence.p7s"
	FileText      = "letter.txt"
	FileLetter    = "letter.pdf"
	FileSignature = "signature.png"
)

// Version is the version of the pack's format.
const Version = 1

// Facts are what a pack states; the seal is over them, and they hold the hashes
// of the other files. Personal data is masked.
type Facts struct {
	Version       int       `json:"version"`
	Authorization string    `json:"authorization"`
	Order         string    `json:"order"`
	Receipt       string    `json:"receipt"`
	Company       string    `json:"company"`
	USCC          string    `json:"uscc"`
	Signer        string    `json:"signer"` // masked
	Agent         string    `json:"agent"`  // masked
	Snapshot      string    `json:"snapshot_sha256"`
	Content       string    `json:"signed_fields_sha256"`
	Text          Text      `json:"text"`
	Letter        File      `json:"letter"`
	Signature     File      `json:"handwritten_signature,omitzero"`
	Consent       Consent   `json:"sensitive_data_consent,omitzero"`
	SMS           []Message `json:"sms,omitempty"`
	Opened        Step      `json:"opened,omitzero"`
	Phone         Phone     `json:"phone,omitzero"`
	Identity      Identity  `json:"identity,omitzero"`
	Shown         Step      `json:"letter_shown,omitzero"`
	Signed        Step      `json:"signed"`
	MandateUntil  time.Time `json:"mandate_until,omitzero"`
	// Reused is the earlier authorisation under whose mandate this one stands,
	// instead of a signature of its own.
	Reused *Reused   `json:"reused,omitempty"`
	Sealed time.Time `json:"sealed_at"`
}

// File is a file of the pack by its hash.
type File struct {
	Name   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// Text is the letter's words.
type Text struct {
	File
	Version string `json:"version"`
}

// Consent is the separate tick for sensitive data.
type Consent struct {
	Version string    `json:"version"`
	SHA256  string    `json:"sha256"`
	At      time.Time `json:"at"`
	IP      string    `json:"ip"`
}

// Message is one SMS with a link.
type Message struct {
	ID         string    `json:"id"`
	ProviderID string    `json:"provider_id"`
	At         time.Time `json:"at"`
}

// Step is something that the legal representative did, and from where.
type Step struct {
	At      time.Time `json:"at"`
	Channel string    `json:"channel"`
	OpenID  string    `json:"openid,omitempty"`
	IP      string    `json:"ip"`
	Device  string    `json:"device,omitempty"`
}

// Phone is the proof that he reads the SMS of the number.
type Phone struct {
	Step
	Mobile string `json:"mobile"` // masked
}

// Identity is the answer of the identity check.
type Identity struct {
	Result   string    `json:"result"`
	Provider string    `json:"provider"`
	ID       string    `json:"result_id"`
	At       time.Time `json:"at"`
}

// Reused names an earlier authorisation.
type Reused struct {
	Authorization string    `json:"authorization"`
	Receipt       string    `json:"receipt"`
	Signed        time.Time `json:"signed_at"`
	Until         time.Time `json:"until"`
}

// Pack is an evidence pack before it is sealed.
type Pack struct {
	Facts     Facts
	Text      []byte
	Letter    []byte // the sealed PDF
	Signature []byte // PNG; empty for a reused authorisation
}

// Seal returns the pack as a zip file. It fills in the hashes.
func (p Pack) Seal(s Sealer) ([]byte, error) {
	f := p.Facts
	f.Version = Version
	f.Text.File, f.Letter = file(FileText, p.Text), file(FileLetter, p.Letter)
	files := map[string][]byte{FileText: p.Text, FileLetter: p.Letter}
	if len(p.Signature) > 0 {
		f.Signature = file(FileSignature, p.Signature)
		files[FileSignature] = p.Signature
	}
	facts, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	seal, err := s.seal(facts)
	if err != nil {
		return nil, err
	}
	files[FileFacts], files[FileSeal] = facts, seal
	return zipped(files, f.Sealed)
}

// digest is the SHA-256 (hex) of a file.
func digest(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

func file(name string, content []byte) File { return File{name, digest(content)} }

func zipped(files map[string][]byte, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range sortedKeys(files) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at.UTC()})
		if err != nil {
			return nil, fmt.Errorf("writing evidence: %w", err)
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, fmt.Errorf("writing evidence: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	return out.Bytes(), nil
}

// Limits of what is unpacked: a pack comes from strangers.
const (
	maxFiles = 8
	maxFile  = 4 << 20
)

// unzipped reads a pack. Nothing is written anywhere.
func unzipped(pack []byte) (map[string][]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	if err != nil {
		return nil, fmt.Errorf("not a zip file: %w", err)
	}
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("%d files are too many", len(z.File))
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		if _, twice := files[f.Name]; twice || !slices.Contains([]string{FileFacts, FileSeal, FileText, FileLetter, FileSignature}, f.Name) {
			return nil, fmt.Errorf("file %q does not belong into a pack, or is there twice", f.Name)
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", f.Name, err)
		}
		content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, fmt.Errorf("file %s: %w", f.Name, err)
		}
		if len(content) > maxFile {
			return nil, fmt.Errorf("file %s is too large", f.Name)
		}
		files[f.Name] = content
	}
	return files, nil
}

func sortedKeys[K int | string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
