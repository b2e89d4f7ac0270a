package order

import "regexp"

// CarrierSpec is a courier we ship with.
type CarrierSpec struct {
	Name    string
	pattern *regexp.Regexp
}

// Carriers are the couriers staff may choose, by code.
var Carriers = map[string]CarrierSpec{
	"sf":  {"顺丰速运", regexp.MustCompile(`^SF\d{12,15}$`)},
	"ems": {"中国邮政 EMS", regexp.MustCompile(`^(E[A-Z]\d{9}CN|\d{13})$`)},
	"jd":  {"京东快递", regexp.MustCompile(`^JD[A-Z0-9]{11,18}$`)},
}

// CarrierName is the courier as people read it.
func (o Order) CarrierName() string { return Carriers[o.Carrier].Name }
