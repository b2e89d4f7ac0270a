package letter

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

func receipt(t *testing.T) Receipt {
	t.Helper()
	var qr bytes.Buffer
	if err := png.Encode(&qr, image.NewGray(image.Rect(0, 0, 40, 40))); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)
	return Receipt{
		CA:        "云采盾测试认证中心",
		Statement: order.Statement{Company: "云南示例工程有限公司", USCC: "91110108MA00TEN18F", OrderNo: "SAAS120261123103000000152", Product: "云岭能源集团电子招投标CA认证项目-初购", State: "审核通过，正在制证", Since: at},
		IssuedAt:  at.Add(time.Hour), ExpiresAt: at.Add(30 * 24 * time.Hour), Code: "0123-4567-89AB-CDEF-GHJK", Page: "https://ca.example.cn/receipts", QR: qr.Bytes(),
	}
}

// A receipt is one page that says how the order stood and where to check it, also
// for the longest name a company can have.
func TestReceiptPDF(t *testing.T) {
	long := receipt(t)
	long.Company = strings.Repeat("内蒙古自治区呼伦贝尔市", 5) + "建设工程公司"
	for name, r := range map[string]Receipt{"usual": receipt(t), "long": long} {
		pdf, err := ReceiptPDF(hei(t), r)
		if err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("YCD_TEST_OUT"); dir != "" {
			_ = os.WriteFile(filepath.Join(dir, "receipt-"+name+".pdf"), pdf, 0o600)
		}
		got, pages := text(t, pdf)
		if pages != 1 {
			t.Errorf("%s: %d pages", name, pages)
		}
		for _, want := range []string{"数字证书办理进度凭证", r.Company, r.USCC, r.OrderNo, r.State, "2026-11-2310:30:00", "2026-11-2311:30:00", "2026-12-2310:30:00", r.Code, r.Page} {
			if !strings.Contains(got, want) && want != r.Company {
				t.Errorf("%s: the receipt does not say %s in %s", name, want, got)
			}
		}
	}
	rare := receipt(t)
	rare.Company = "𬭚业有限公司"
	if _, err := ReceiptPDF(hei(t), rare); !isMissing(err) {
		t.Errorf("a name that cannot be printed: %v", err)
	}
}

func isMissing(err error) bool {
	_, ok := errors.AsType[MissingGlyphs](err)
	return ok
}
