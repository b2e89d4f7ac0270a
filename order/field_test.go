package order

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
)

// What the form takes as a company's name, the CA can write into a certificate
// (F29): a name that it refuses must not be paid for first.
func TestOrgNameFitsACertificate(t *testing.T) {
	p := Product{IssueMode: ByAdmin, Price: 30000, Authorizations: []string{AuthPaper}}
	for name, tc := range map[string]struct {
		value string
		ok    bool
	}{
		"plain":               {"云岭测试科技有限公司", true},
		"brackets":            {"云岭测试(昆明)有限公司", true},
		"middle dot":          {"云岭·测试有限公司", true},
		"Latin and ampersand": {"A&B 云岭有限公司", true},
		"rare character":      {"𠮷云测试有限公司", true},
		"64 characters":       {strings.Repeat("云", 64), true},
		"65 characters":       {strings.Repeat("云", 65), false},
		"markup":              {"<script>alert(1)</script>", false},
		"HTML entity":         {"云岭&amp;测试有限公司", false},
		"emoji":               {"云岭😀有限公司", false},
		"no letter":           {"——", false},
		"replacement":         {"云岭\uFFFD有限公司", false},
	} {
		t.Run(name, func(t *testing.T) {
			faults := CheckForm(p, filled(map[Field]string{OrgName: tc.value}), t0)
			if bad := slices.ContainsFunc(faults, func(e FieldError) bool { return e.Field == OrgName }); bad == tc.ok {
				t.Errorf("%q: %v", tc.value, faults)
			}
		})
	}
}

// A company's name becomes what its licence prints: no space beside a Chinese
// character, one between words of other scripts, brackets full width.
func TestOrgNameIsNormalised(t *testing.T) {
	for typed, want := range map[string]string{
		" 云岭 测试科技 (昆明) 有限公司 ":     "云岭测试科技（昆明）有限公司",
		"Yunling  Test Co., Ltd.": "Yunling Test Co., Ltd.",
		"ＡＢＣ 科技有限公司":              "ABC科技有限公司",
		"昆明 3M 材料有限公司":            "昆明3M材料有限公司",
		"Test 2026 GmbH & Co. KG": "Test 2026 GmbH & Co. KG",
	} {
		if got, err := checkOrgName(typed, Form{}, t0); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", typed, got, err, want)
		}
	}
}

// F27: whoever shows another document than 身份证 is asked for its photo page; of a
// second page nothing is said.
func TestPagesOfAnotherDocument(t *testing.T) {
	p := Product{IssueMode: ByAdmin, Price: 30000, Authorizations: []string{AuthPaper}}
	for document, want := range map[identity.DocType]string{identity.ResidentID: "请上传身份证正面 请上传身份证反面", identity.Passport: "请上传证件照片页"} {
		var got []string
		for _, f := range CheckForm(p, filled(map[Field]string{IDType: string(document), IDNo: "E12345678", IDFront: "", IDBack: ""}), t0) {
			if f.Field == IDFront || f.Field == IDBack {
				got = append(got, f.Detail)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", document, got, want)
		}
	}
}

// F40: the legal representative needs a document's age, not the 18 years of an
// applicant, and nothing that is said about him speaks of the applicant (rules.md 3.4).
func TestLegalRepresentativesDocument(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, Shanghai)
	f := DefaultForm()
	for no, want := range map[string]string{
		"110101200901010016": "", // 17
		"11010120120101001x": "证件持有人未达到办理年龄，请核对证件号码或更换办理人。",
		"11010519491231002x": "",
	} {
		_, err := checkLegalDocument(no, f, at)
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%s: %v", no, err)
		}
	}
}

// F28, F30, F31: what the reviewer will wonder about, the applicant reads beside the
// field; a code with letters for digits is corrected for him to confirm (rules.md 3.3,
// 3.4). None of it is a fault.
func TestDoubtsBesideTheFields(t *testing.T) {
	p := Product{IssueMode: ByAdmin, Price: 30000, Authorizations: []string{AuthPaper, AuthMiniProgram}}
	for name, tc := range map[string]struct {
		form  map[Field]string
		field Field
		doubt string
	}{
		"plain mobile":               {nil, AgentMobile, ""},
		"virtual operator":           {map[Field]string{AgentMobile: "17012347069"}, AgentMobile, "虚拟运营商"},
		"legal representative's":     {map[Field]string{AuthWay: AuthMiniProgram, LegalMobile: "16512347069", LegalIDNo: "11010519491231002X"}, LegalMobile, "虚拟运营商"},
		"recipient's":                {map[Field]string{ShipMobile: "16712347069"}, ShipMobile, "虚拟运营商"},
		"identity card":              {nil, IDNo, ""},
		"Chinese passport":           {map[Field]string{IDType: string(identity.Passport), IDNo: "E12345678"}, IDNo, ""},
		"foreign passport":           {map[Field]string{IDType: string(identity.Passport), IDNo: "K1234567"}, IDNo, "不是中国普通护照"},
		"his foreign passport":       {map[Field]string{AuthWay: AuthMiniProgram, LegalMobile: "13800138001", LegalIDType: string(identity.Passport), LegalIDNo: "K1234567"}, LegalIDNo, "不是中国普通护照"},
		"plain credit code":          {nil, OrgUSCC, ""},
		"unusual region":             {map[Field]string{OrgUSCC: "91990000MA0000007X"}, OrgUSCC, "登记地区不常见"},
		"buyer's unusual region":     {map[Field]string{InvoiceTaxNo: "91990000MA0000007X"}, InvoiceTaxNo, "登记地区不常见"},
		"type that fits":             {nil, OrgType, ""},
		"sole trader's code":         {map[Field]string{OrgUSCC: "92440300MA00000074"}, OrgType, "信用代码以 92 开头，单位类型一般是“个体工商户”"},
		"sole trader says so":        {map[Field]string{OrgUSCC: "92440300MA00000074", OrgType: string(identity.SoleTrader)}, OrgType, ""},
		"a code that tells no type":  {map[Field]string{OrgUSCC: "110108000000016"}, OrgType, ""},
		"no code yet":                {map[Field]string{OrgUSCC: ""}, OrgType, ""},
		"nothing typed, no doubt":    {map[Field]string{OrgUSCC: ""}, OrgUSCC, ""},
		"a field that has no doubts": {nil, OrgName, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := filled(tc.form)
			spec, _ := tc.field.Spec()
			if got := spec.DoubtOf(f); (got == "") != (tc.doubt == "") || !strings.Contains(got, tc.doubt) {
				t.Errorf("doubt %q, want %q", got, tc.doubt)
			}
			for _, fault := range CheckForm(p, f, t0) {
				if fault.Field == tc.field && f.Get(tc.field) != "" {
					t.Errorf("a doubt blocks: %v", fault)
				}
			}
		})
	}
	for typed, want := range map[string]string{"9III0IO8MAOOTENI8F": "91110108MA00TEN18F", "9111O108MA00TEN18G": "", "91110108MA00TEN18F": "", "": ""} {
		spec, _ := OrgUSCC.Spec()
		if got := spec.SuggestionFor(filled(map[Field]string{OrgUSCC: typed})); got != want {
			t.Errorf("%q: suggested %q, want %q", typed, got, want)
		}
	}
}

// Every reason leads to a field that the form of the order shows (flows.md, idea 3).
func TestReasonsLeadToWhatTheFormAsks(t *testing.T) {
	initial := Product{Business: Initial, IssueMode: ByAdmin}
	onPaper, online := DefaultForm(), DefaultForm().With(AuthWay, AuthMiniProgram)
	tests := []struct {
		name string
		p    Product
		f    Form
		code string
		want Field
	}{
		{"the letter on paper", initial, onPaper, "R05", LetterImage},
		{"the letter that was signed online", initial, online, "R05", AuthWay},
		{"a seal on a letter that is not asked for", initial, online, "R03", AuthWay},
		{"another section stays", initial, online, "R07", LicenseImage},
		{"an authorisation that stands", Product{Business: Renewal}, onPaper.With(AuthNeed, No), "R05", LegalName},
		{"nothing is shipped", Product{Business: Initial, IssueMode: BySelf}, onPaper, "R18", ""},
		{"no field at all", initial, onPaper, "R19", ""},
		{"an unknown code", initial, onPaper, "R99", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Reason{Code: tt.code}).Anchor(tt.p, tt.f); got != tt.want {
				t.Errorf("%s leads to %q, want %q", tt.code, got, tt.want)
			}
		})
	}
}

// A form's values are read once, and not before one of them is asked for.
func TestFormIsReadWhenAsked(t *testing.T) {
	read := 0
	f := FormOf(func(yield func(Field, string) bool) {
		read++
		yield(ShipName, "张三")
	})
	if read != 0 {
		t.Error("read before anybody asked")
	}
	for range 2 {
		if got := f.Get(ShipName); got != "张三" || read != 1 {
			t.Errorf("Get = %q, read %d times; want 张三, once", got, read)
		}
	}
	values := map[Field]string{ShipName: "张三"}
	f = NewForm(values)
	values[ShipName] = "李四"
	if got := f.Get(ShipName); got != "张三" {
		t.Errorf("a form changed to %q with the map it was made of", got)
	}
}
