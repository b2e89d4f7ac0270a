package identity

import (
	"strings"
	"unicode/utf8"
)

// Address is a postal address in the Chinese mainland order.
type Address struct{ personal[addressText] }

// addressText is the four parts in one string, which [personal] asks for.
type addressText string

// partSeparator occurs in no part: HalfWidth drops control characters.
const partSeparator = "\x1f"

type addressParts struct{ province, city, district, detail string }

func (p addressParts) text() addressText {
	if p == (addressParts{}) {
		return ""
	}
	return addressText(strings.Join([]string{p.province, p.city, p.district, p.detail}, partSeparator))
}

func (t addressText) parts() (p addressParts) {
	rest := string(t)
	for _, part := range []*string{&p.province, &p.city, &p.district} {
		*part, rest, _ = strings.Cut(rest, partSeparator)
	}
	p.detail = rest
	return p
}

func (t addressText) clear() string { return t.parts().area() + t.parts().detail }

// mask ends at the district. All that follows is four stars, whatever its length.
func (t addressText) mask() string {
	p := t.parts()
	if p.detail == "" {
		return p.area()
	}
	return p.area() + "****"
}

// area writes 北京市东城区, not 北京市北京市东城区.
func (p addressParts) area() string {
	if p.city == p.province {
		return p.province + p.district
	}
	return p.province + p.city + p.district
}

const maxAddressDetail = 120

// ParseAddress wants every part. Whether the place exists is for [Places.Check].
func ParseAddress(province, city, district, detail string) (Address, error) {
	p := addressParts{squeeze(province), squeeze(city), squeeze(district), strings.Join(strings.Fields(HalfWidth(detail)), " ")}
	switch {
	case p.province == "" || p.city == "" || p.district == "":
		return Address{}, fault(Missing, "请选择完整的省、市、区（县）。")
	case p.detail == "":
		return Address{}, fault(Missing, "请填写详细地址，例如街道、楼栋和门牌号。")
	case utf8.RuneCountInString(p.district) > 30:
		return Address{}, fault(BadLength, "区（县）名称过长，请只填写区、县或县级市的名称。")
	case utf8.RuneCountInString(p.detail) < 4:
		return Address{}, fault(BadLength, "详细地址太短，请填写到街道、楼栋和门牌号，以便快递送达。")
	case utf8.RuneCountInString(p.detail) > maxAddressDetail:
		return Address{}, fault(BadLength, "详细地址过长，请精简到120个字以内。")
	}
	return Address{hide(p.text())}, nil
}

func squeeze(s string) string { return strings.Join(strings.Fields(HalfWidth(s)), "") }

// Province is not secret: masks end at the district.
func (a Address) Province() string { return a.value().parts().province }

// City is not secret: masks end at the district.
func (a Address) City() string { return a.value().parts().city }

// District is not secret: masks end at the district.
func (a Address) District() string { return a.value().parts().district }

// RevealDetail returns the clear text that follows the district.
func (a Address) RevealDetail() string { return a.value().parts().detail }
