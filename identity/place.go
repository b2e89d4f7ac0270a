package identity

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
)

// Province is a division of the first level, GB/T 2260.
type Province struct {
	Code string `json:"code"` // the first two digits of every code below it
	Name string `json:"name"` // as in an address
}

// Provinces lists the 34 divisions of the first level by code.
var Provinces = []Province{
	{"11", "北京市"},
	{"12", "天津市"},
	{"13", "河北省"},
	{"14", "山西省"},
	{"15", "内蒙古自治区"},
	{"21", "辽宁省"},
	{"22", "吉林省"},
	{"23", "黑龙江省"},
	{"31", "上海市"},
	{"32", "江苏省"},
	{"33", "浙江省"},
	{"34", "安徽省"},
	{"35", "福建省"},
	{"36", "江西省"},
	{"37", "山东省"},
	{"41", "河南省"},
	{"42", "湖北省"},
	{"43", "湖南省"},
	{"44", "广东省"},
	{"45", "广西壮族自治区"},
	{"46", "海南省"},
	{"50", "重庆市"},
	{"51", "四川省"},
	{"52", "贵州省"},
	{"53", "云南省"},
	{"54", "西藏自治区"},
	{"61", "陕西省"},
	{"62", "甘肃省"},
	{"63", "青海省"},
	{"64", "宁夏回族自治区"},
	{"65", "新疆维吾尔自治区"},
	{"71", "台湾省"},
	{"81", "香港特别行政区"},
	{"82", "澳门特别行政区"},
}

//go:embed places/places.json
var placesFile embed.FS

// Places are the divisions that address forms offer. They come from a data file
// that staff may replace; orders store names, so an old order outlives its file.
type Places struct {
	Version string // of the data file
	Limits  string // what the file does not know, in its own words
	cities  map[string][]City
}

// City is a division of the second level, or a county-level one that is governed
// by its province directly.
type City struct {
	Name      string
	Districts []string // empty: the file has none, the applicant types the name
}

// DefaultPlaces reads the embedded data file.
func DefaultPlaces() (*Places, error) { return LoadPlaces(placesFile, "places/places.json") }

// LoadPlaces reads a data file. In it a city is a list: its name, then its
// districts.
func LoadPlaces(fsys fs.FS, name string) (*Places, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("reading places: %w", err)
	}
	var file struct {
		Version string                `json:"version"`
		Limits  string                `json:"limits"`
		Cities  map[string][][]string `json:"cities"` // by province code
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("parsing places %s: %w", name, err)
	}
	if file.Version == "" {
		return nil, fmt.Errorf("places %s: no version", name)
	}
	p := &Places{Version: file.Version, Limits: file.Limits, cities: map[string][]City{}}
	for _, prov := range Provinces {
		rows := file.Cities[prov.Code]
		if len(rows) == 0 {
			return nil, fmt.Errorf("places %s: province %s has no cities", name, prov.Code)
		}
		for _, row := range rows {
			if len(row) == 0 || slices.Contains(row, "") {
				return nil, fmt.Errorf("places %s: empty name in province %s", name, prov.Code)
			}
			p.cities[prov.Name] = append(p.cities[prov.Name], City{row[0], row[1:]})
		}
	}
	if len(file.Cities) != len(Provinces) {
		return nil, fmt.Errorf("places %s: %d provinces, want %d", name, len(file.Cities), len(Provinces))
	}
	return p, nil
}

// Cities returns the cities of a province, by its name.
func (p *Places) Cities(province string) []City { return slices.Clone(p.cities[province]) }

// Districts returns the districts of a city; none means that any name is accepted.
func (p *Places) Districts(province, city string) []string {
	for _, c := range p.cities[province] {
		if c.Name == city {
			return slices.Clone(c.Districts)
		}
	}
	return nil
}

// Check refuses an address whose place is not in the file. A district is free
// text where the file has none.
func (p *Places) Check(a Address) error {
	cities, ok := p.cities[a.Province()]
	if !ok {
		return fault(BadRegion, "请从列表中选择省份。")
	}
	i := slices.IndexFunc(cities, func(c City) bool { return c.Name == a.City() })
	if i < 0 {
		return fault(BadRegion, "所选城市不属于该省份，请重新选择城市。")
	}
	if known := cities[i].Districts; len(known) > 0 && !slices.Contains(known, a.District()) {
		return fault(BadRegion, "所选区（县）不属于该城市，请重新选择区（县）。")
	}
	return nil
}
