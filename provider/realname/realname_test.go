package realname

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

var (
	name   = identity.NewPersonName("韦小宝")
	docNo  = identity.NewDocNo("11010519491231002X")
	mobile = identity.NewMobile("16137688175")
)

// newTestCheck answers every call with body and keeps the last request.
func newTestCheck(t *testing.T, body string) (*Tencent, *map[string]any) {
	t.Helper()
	sent := map[string]any{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		sent["action"], sent["version"] = r.Header.Get("X-TC-Action"), r.Header.Get("X-TC-Version")
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	c, err := NewTencent(Config{SecretID: "id", SecretKey: "key", BaseURL: srv.URL, Now: func() time.Time { return time.Unix(1795406400, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return c, &sent
}

func TestCheck(t *testing.T) { // F24
	tests := map[string]struct {
		result string
		want   order.RealNameResult
		kind   order.Kind
	}{
		"one person":         {"0", order.RealNameMatch, ""},
		"somebody else's":    {"-4", order.RealNameMismatch, ""},
		"no such mobile":     {"-6", order.RealNameMismatch, ""},
		"no such ID number":  {"-7", order.RealNameMismatch, ""},
		"not a name":         {"-8", order.RealNameMismatch, ""},
		"no record":          {"-9", order.RealNameManual, ""},
		"carrier unknown":    {"-13", order.RealNameManual, ""},
		"provider busy":      {"-11", order.RealNameUnknown, order.Unavailable},
		"asked too often":    {"-12", order.RealNameUnknown, order.RateLimited},
		"a result of future": {"-99", order.RealNameUnknown, order.Unavailable},
		"no result":          {"", order.RealNameUnknown, order.Unavailable},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			c, sent := newTestCheck(t, fmt.Sprintf(`{"Response":{"Result":%q,"Isp":"移动","Description":"韦小宝","RequestId":"r"}}`, tt.result))
			got, err := c.Check(t.Context(), name, identity.ResidentID, docNo, mobile)
			e, ok := order.AsError(err)
			if got != tt.want || (err != nil) != (tt.kind != "") || ok && e.Kind != tt.kind {
				t.Errorf("check = %q, %v; want %q, %q", got, err, tt.want, tt.kind)
			}
			want := map[string]any{
				"action": "PhoneVerification", "version": "2018-03-01",
				"IdCard": "11010519491231002X", "Name": "韦小宝", "Phone": "16137688175",
			}
			if diff := cmp.Diff(want, *sent); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if err != nil && strings.ContainsAny(err.Error(), "韦小宝") {
				t.Errorf("error names the person: %v", err)
			}
		})
	}
}

func TestOtherDocumentsAreLeftToTheReviewer(t *testing.T) {
	for _, d := range identity.DocTypes[1:] {
		c, sent := newTestCheck(t, "")
		got, err := c.Check(t.Context(), name, d.Type, identity.NewDocNo("E12345678"), mobile)
		if got != order.RealNameManual || err != nil || len(*sent) != 0 {
			t.Errorf("%s: check = %q, %v; sent %v", d.Type, got, err, *sent)
		}
	}
}
