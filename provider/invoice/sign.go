package invoice

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/yuncaidun/yuncaidun/order"
)

// authorization is the header of 签名方法 §3: the public parameters in alphabetical
// order, the path and the body, joined by "|" and signed.
func authorization(appKey, secret string, nonce, timestamp int64, path string, body []byte) string {
	params := []string{"algorithm=HMAC-SHA256", "appkey=" + appKey, fmt.Sprintf("nonce=%d", nonce), fmt.Sprintf("timestamp=%d", timestamp)}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join(params, "|") + "|" + path + "|"))
	mac.Write(body)
	return strings.Join(append(params, "signature="+base64.StdEncoding.EncodeToString(mac.Sum(nil))), ",")
}

// callbackURL is where the platform reports about one invoice. Only who was given the
// address knows its seal.
func (g *Golden) callbackURL(i order.Invoice) string {
	return g.cfg.CallbackURL + "?" + url.Values{"invoice": {i.ID}, "seal": {g.seal(i.ID)}}.Encode()
}

func (g *Golden) seal(id string) string {
	mac := hmac.New(sha256.New, []byte(g.cfg.AppSecret))
	mac.Write([]byte("yuncaidun invoice callback\x00" + id))
	return hex.EncodeToString(mac.Sum(nil))
}

// ParseNotification verifies and reads 开票结果异步通知; query is that of the address
// it came to. order.Forbidden: not the platform's word about an invoice of ours.
func (g *Golden) ParseNotification(query url.Values, body []byte) (order.InvoiceNotice, error) {
	id := query.Get("invoice")
	if id == "" || !hmac.Equal([]byte(query.Get("seal")), []byte(g.seal(id))) {
		return order.InvoiceNotice{}, forged("bad seal")
	}
	var in struct {
		AppKey  string      `json:"appkey"`
		Type    string      `json:"notify_type"`
		OrderID string      `json:"order_id"`
		Status  json.Number `json:"ticket_status"` // 3: 开票成功
		Amount  string      `json:"ticket_total_amount_has_tax"`
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil:
		return order.InvoiceNotice{}, forged("malformed")
	case in.AppKey != g.cfg.AppKey:
		return order.InvoiceNotice{}, forged("another seller's")
	case in.OrderID != id:
		return order.InvoiceNotice{}, forged("about another invoice than its address")
	case in.Type != "invoice.blue" && in.Type != "invoice.red":
		return order.InvoiceNotice{}, order.Errorf(order.Conflict, "notification_irrelevant", "通知与开票结果无关")
	}
	n := order.InvoiceNotice{ID: id}
	if in.Amount == "" {
		if in.Status == "3" {
			return n, forged("issued without an amount")
		}
		return n, nil
	}
	amount, err := fen(in.Amount)
	switch {
	case err != nil:
		return n, forged("amount is malformed")
	case in.Type == "invoice.red" && amount < 0:
		amount = -amount
	case amount <= 0:
		return n, forged("amount is not positive")
	}
	n.Amount = order.Fen(amount)
	return n, nil
}

func forged(why string) error {
	return &order.Error{Kind: order.Forbidden, Code: "notification_refused", Detail: "通知未通过验证", Err: errors.New(why)}
}
