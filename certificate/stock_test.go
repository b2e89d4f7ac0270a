package certificate_test

import (
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// Serials are read as they are typed with a Chinese keyboard; of many, the one that is
// wrong is named.
func TestParseSerials(t *testing.T) {
	got, err := certificate.ParseSerials("ＴＷ００００００００００００１１，tw00000000000012－tw00000000000013；TW00000000000015\n")
	if err != nil || strings.Join(got, " ") != "TW00000000000011 TW00000000000012 TW00000000000013 TW00000000000015" {
		t.Errorf("%v, %v", got, err)
	}
	for wrong, named := range map[string]string{"TW1234": "「TW1234」", strings.Repeat("9", 500): "「" + strings.Repeat("9", 20) + "…」"} {
		_, err := certificate.ParseSerials("TW00000000000011 " + wrong)
		if e, ok := order.AsError(err); !ok || !strings.Contains(e.Detail, named) {
			t.Errorf("%.20s: %v", wrong, err)
		}
	}
}
