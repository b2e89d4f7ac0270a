package request

// What a station elsewhere asks of the issuer. Subject is the issue; the PINs of a
// USBKEY travel sealed to the station's key.
const (
	// StationTake hands a USBKEY out. Body is a [TakeBody]; the answer is an
	// issuance.Task in JSON.
	StationTake Kind = "station_take"
	// StationCertify certifies the station's request (Body, DER); the answer is the
	// certificate (DER).
	StationCertify Kind = "station_certify"
	// StationFinish ends an issue. Body is the USBKEY's signature; the answer the
	// serial numbers as a [Made] in JSON.
	StationFinish Kind = "station_finish"
)

// TakeBody is what a station says about itself. Request is an issuance.Request in JSON.
type TakeBody struct {
	Request   []byte   `json:"request"`
	Plugged   []string `json:"plugged"`
	PublicKey []byte   `json:"public_key"`
}

// Made is what came of an issue.
type Made struct {
	TokenSerial string `json:"token_serial"`
	CertSerial  string `json:"cert_serial"`
}
