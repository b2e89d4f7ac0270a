package request

import "time"

// MakeKey asks for a key pair with its certificate on a USBKEY at the issuer. Subject
// is the CA's id of the issue, Body an issuance.Request in JSON, the answer the serial
// numbers as a [Made] in JSON. Asked again about the same issue it goes on with it.
const MakeKey Kind = "make_key"

// ScrapIssue gives an issue up: its blank is scrapped, its serial number revoked.
// Subject is the issue, Body the reason in a word. There is no answer.
const ScrapIssue Kind = "scrap_issue"

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
