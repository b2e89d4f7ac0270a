package identity

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// F32: the drop-down has all 20 sections, the bidders' first.
func TestIndustries(t *testing.T) {
	var codes []string
	for _, in := range Industries {
		codes = append(codes, in.Code)
	}
	if got := strings.Join(codes, ""); got != "CEFILMABDGHJKNOPQRST" {
		t.Errorf("sections %s", got)
	}
}

func TestDefaultPlaces(t *testing.T) {
	p, err := DefaultPlaces()
	if err != nil {
		t.Fatal(err)
	}
	if len(Provinces) != 34 || p.Version == "" || p.Limits == "" {
		t.Errorf("%d provinces, version %q", len(Provinces), p.Version)
	}
	// Prefecture-level divisions of GB/T 2260 as counted in the yearbook: 333, among
	// the provinces that have them.
	prefectures := 0
	for _, prov := range Provinces {
		seen := map[string]bool{}
		for _, c := range p.Cities(prov.Name) {
			if seen[c.Name] {
				t.Errorf("%s twice", c.Name)
			}
			seen[c.Name] = true
			if sorted := slices.Sorted(slices.Values(c.Districts)); len(slices.Compact(sorted)) != len(c.Districts) {
				t.Errorf("%s repeats a district", c.Name)
			}
		}
		prefectures += len(seen)
	}
	// 4 municipalities, 22 in Taiwan, 2 special regions and the county-level ones
	// under a province: Henan 1, Hubei 4, Hainan 15, Xinjiang 12.
	if got := prefectures - 4 - 22 - 2 - 1 - 4 - 15 - 12; got != 333 {
		t.Errorf("%d prefecture-level divisions, want 333", got)
	}
	for city, want := range map[string]int{"北京市": 16, "天津市": 16, "上海市": 16, "重庆市": 38, "香港特别行政区": 18} {
		if got := len(p.Districts(city, city)); got != want {
			t.Errorf("%s has %d districts, want %d", city, got, want)
		}
	}
}

func TestPlacesCheck(t *testing.T) {
	p, err := DefaultPlaces()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, province, city, district string
		ok                             bool
	}{
		{"known district", "浙江省", "杭州市", "西湖区", true},
		{"municipality", "北京市", "北京市", "东城区", true},
		{"district of another city", "浙江省", "杭州市", "东城区", false},
		{"free text where the file has none", "浙江省", "丽水市", "缙云县", true},
		{"city of another province", "江苏省", "杭州市", "西湖区", false},
		{"no such province", "中原省", "杭州市", "西湖区", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := p.Check(addressOf(tt.province, tt.city, tt.district, "文三路99号")); (err == nil) != tt.ok {
				t.Errorf("Check = %v", err)
			}
		})
	}
}

func TestLoadPlacesRefusesSlips(t *testing.T) {
	for name, data := range map[string]string{
		"not JSON": `{`, "no version": `{"cities":{}}`, "missing provinces": `{"version":"1","cities":{"11":[["北京市"]]}}`, "empty name": `{"version":"1","cities":{"11":[[""]]}}`,
	} {
		if _, err := LoadPlaces(fstest.MapFS{"p.json": {Data: []byte(data)}}, "p.json"); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
}

// addressOf is one that nobody has checked.
func addressOf(province, city, district, detail string) Address {
	return Address{hide(addressParts{province, city, district, detail}.text())}
}
