package handlers

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// maxCertificateFile is how large the file of a certificate may be.
const maxCertificateFile = 64 << 10

// certificateFile is the beginning of an X.509 certificate (RFC 5280 §4.1), as far as
// its end and its names. crypto/x509 refuses keys on SM2's curve, which most CAs of
// tenders use; what is read here does not depend on the key.
type certificateFile struct {
	TBS struct {
		Version   int `asn1:"optional,explicit,default:0,tag:0"`
		Serial    *big.Int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    pkix.RDNSequence
		Validity  struct{ NotBefore, NotAfter time.Time }
		Subject   pkix.RDNSequence
	}
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

var errNoCertificate = order.Errorf(order.Invalid, "certificate_unreadable", "这不是可以读取的证书文件，请选择 .cer 或 .crt 文件，或直接填写").About("file")

// readCertificate is what the file of a certificate, PEM or DER, says of a USBKEY of
// another CA. The file is not kept.
func readCertificate(file []byte) (certificate.Foreign, error) {
	if block, _ := pem.Decode(file); block != nil {
		file = block.Bytes
	}
	var cert certificateFile
	if len(file) > maxCertificateFile {
		return certificate.Foreign{}, errNoCertificate
	}
	if rest, err := asn1.Unmarshal(file, &cert); err != nil || len(rest) > 0 || cert.TBS.Serial.Sign() <= 0 {
		return certificate.Foreign{}, errNoCertificate
	}
	f := certificate.Foreign{Number: fmt.Sprintf("%X", cert.TBS.Serial.Bytes()), NotAfter: cert.TBS.Validity.NotAfter.UTC()}
	f.Issuer = cut(nameOf(cert.TBS.Issuer, organisation, commonName))
	f.Label = cut(nameOf(cert.TBS.Subject, commonName, organisation))
	f.Holder = cut(nameOf(cert.TBS.Subject, organisation, commonName))
	return f, nil
}

// The attributes of a name (X.520): CN and O.
var (
	commonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	organisation = asn1.ObjectIdentifier{2, 5, 4, 10}
)

// nameOf is the first attribute that a name has.
func nameOf(name pkix.RDNSequence, kinds ...asn1.ObjectIdentifier) string {
	for _, kind := range kinds {
		for _, set := range name {
			for _, a := range set {
				if text, ok := a.Value.(string); ok && a.Type.Equal(kind) && text != "" {
					return text
				}
			}
		}
	}
	return ""
}

// cut is as much of a name as fits its field.
func cut(name string) string {
	r := []rune(order.PrintedName(name))
	return string(r[:min(len(r), certificate.MaxLabel)])
}
