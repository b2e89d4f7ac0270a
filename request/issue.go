package request

import "time"

// IssueForCSR asks for the certificate of a key pair that the subscriber has made on
// his own USBKEY. Subject is the CA's id of the issue, Body a [CSRBody], the answer an
// [Issued]. Asked again about the same issue it answers with the same certificate.
const IssueForCSR Kind = "issue_for_csr"

// CSRBody is what was approved, all of it public, with the certificate request.
type CSRBody struct {
	Issue     string    `json:"issue"`
	Item      string    `json:"item"`
	Snapshot  []byte    `json:"snapshot"` // SHA-256 of what was approved
	Profile   string    `json:"profile"`
	Company   string    `json:"company"`
	USCC      string    `json:"uscc"`
	Years     int       `json:"years"`
	Continues time.Time `json:"continues,omitzero"`
	Renews    string    `json:"renews,omitempty"` // serial of the certificate whose key pair is kept
	CSR       []byte    `json:"csr"`              // PKCS#10, DER
}

// Issued is a certificate that was made.
type Issued struct {
	Serial      string `json:"serial"`
	Certificate []byte `json:"certificate"` // DER
}
