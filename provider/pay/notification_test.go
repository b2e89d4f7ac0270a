package pay

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/yuncaidun/yuncaidun/order"
)

const success = "TRANSACTION.SUCCESS"

func signed(body string) http.Header {
	h := http.Header{}
	genuine(h, body)
	return h
}

func TestParseNotification(t *testing.T) { // F62
	w, _ := newMerchant(t, nil)
	with := func(k string, v any) string {
		return notification(apiKey, success, transaction(payment.TradeNo, map[string]any{k: v}))
	}
	good := notification(apiKey, success, transaction(payment.TradeNo, nil))
	at := func(d time.Duration) http.Header {
		h := http.Header{}
		signAs(keys().platform, keyID, time.Now().Add(d), h, good)
		return h
	}
	set := func(k, v string) http.Header {
		h := signed(good)
		h.Set(k, v)
		return h
	}
	foreign, probe := http.Header{}, signed(good)
	signAs(keys().foreign, keyID, time.Now(), foreign, good)
	probe.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/"+probe.Get("Wechatpay-Signature"))

	tests := map[string]struct {
		header http.Header
		body   string
		want   string
	}{
		"genuine":                  {signed(good), good, ""},
		"four minutes late":        {at(-240 * time.Second), good, ""},
		"five minutes late":        {at(-301 * time.Second), good, "stale timestamp"},
		"from the future":          {at(301 * time.Second), good, "stale timestamp"},
		"no timestamp":             {set("Wechatpay-Timestamp", ""), good, "stale timestamp"},
		"foreign key":              {foreign, good, "bad signature"},
		"unknown key id":           {set("Wechatpay-Serial", "PUB_KEY_ID_1"), good, "unknown key id"},
		"no signature":             {set("Wechatpay-Signature", ""), good, "unsigned"},
		"no headers":               {http.Header{}, good, "unsigned"},
		"WeChat Pay's probe":       {probe, good, "bad signature"},
		"other signature type":     {set("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"), good, "unknown signature type"},
		"other nonce":              {set("Wechatpay-Nonce", "x"), good, "bad signature"},
		"body changed":             {signed(good), good + " ", "bad signature"},
		"other APIv3 key":          {header: nil, body: notification(strings.ToLower(apiKey), success, transaction(payment.TradeNo, nil)), want: "does not decrypt"},
		"another merchant":         {header: nil, body: with("mchid", "1900000002"), want: "another merchant's trade"},
		"another account":          {header: nil, body: with("appid", "wx2"), want: "another account's trade"},
		"other currency":           {header: nil, body: with("amount", map[string]any{"total": 30000, "currency": "USD"}), want: "trade is not in CNY"},
		"no amount":                {header: nil, body: with("amount", nil), want: "trade is not in CNY"},
		"negative amount":          {header: nil, body: with("amount", map[string]any{"total": -30000, "currency": "CNY"}), want: "trade is not in CNY"},
		"other way of paying":      {header: nil, body: with("trade_type", "JSAPI"), want: "trade is not of type NATIVE"},
		"not paid":                 {header: nil, body: with("trade_state", "NOTPAY"), want: "trade is not paid"},
		"no transaction id":        {header: nil, body: with("transaction_id", nil), want: "payment has no id or time"},
		"no time":                  {header: nil, body: with("success_time", "noon"), want: "payment has no id or time"},
		"no trade number":          {header: nil, body: with("out_trade_no", nil), want: "trade has no number or an unknown state"},
		"content is a list":        {header: nil, body: notification(apiKey, success, `[]`), want: "content is not a transaction"},
		"content is null":          {header: nil, body: notification(apiKey, success, `null`), want: "content is not a transaction"},
		"a refund, not a payment":  {header: nil, body: notification(apiKey, "REFUND.SUCCESS", `{}`), want: "notification_irrelevant"},
		"a signed reply":           {header: nil, body: `{"code_url":"weixin://x"}`, want: "not a notification"},
		"a signed empty reply":     {header: nil, body: ``, want: "not a notification"},
		"a nonce of another size":  {header: nil, body: strings.Replace(good, "fdasflkja484", "f", 1), want: "not a notification"},
		"an algorithm of tomorrow": {header: nil, body: strings.Replace(good, "AEAD_AES_256_GCM", "AEAD_SM4_GCM", 1), want: "malformed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.header == nil {
				tt.header = signed(tt.body)
			}
			got, err := w.ParseNotification(t.Context(), tt.header, []byte(tt.body))
			if tt.want == "" {
				if diff := cmp.Diff(paid, got); err != nil || diff != "" {
					t.Errorf("error %v, receipt (-want +got):\n%s", err, diff)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parsed %+v, error %v; want %q", got, err, tt.want)
			}
			checkQuiet(t, err)
		})
	}
}

// mutant is a notification that must not count as payment of the order.
type mutant struct {
	how    string
	header http.Header
	body   string
}

// drawMutant spoils the genuine notification in one of the ways of reliability 2.
func drawMutant(t *rapid.T, header http.Header, body string) mutant {
	m := mutant{header: header.Clone(), body: body}
	resign := func(with map[string]any) {
		m.body = notification(apiKey, success, transaction(payment.TradeNo, with))
		m.header = signed(m.body)
	}
	ways := map[string]func(){
		"body byte": func() {
			b := []byte(body)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
			m.body = string(b)
		},
		"truncated": func() { m.body = body[:rapid.IntRange(0, len(body)-1).Draw(t, "length")] },
		"signature byte": func() {
			sig, _ := base64.StdEncoding.DecodeString(header.Get("Wechatpay-Signature"))
			sig[rapid.IntRange(0, len(sig)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
			m.header.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(sig))
		},
		"header dropped": func() {
			m.header.Del(rapid.SampledFrom([]string{"Wechatpay-Signature", "Wechatpay-Nonce", "Wechatpay-Serial", "Wechatpay-Timestamp"}).Draw(t, "name"))
		},
		"serial": func() {
			m.header.Set("Wechatpay-Serial", rapid.StringMatching(`PUB_KEY_ID_[0-9]{5}`).Draw(t, "serial"))
		},
		"nonce": func() { m.header.Set("Wechatpay-Nonce", rapid.StringMatching(`[a-z]{32}`).Draw(t, "nonce")) },
		"timestamp unsigned": func() {
			m.header.Set("Wechatpay-Timestamp", fmt.Sprint(time.Now().Unix()+rapid.Int64Range(1, 290).Draw(t, "seconds")))
		},
		"timestamp signed, stale": func() {
			m.header = http.Header{}
			seconds := rapid.Int64Range(302, 1<<31).Draw(t, "seconds")
			if rapid.Bool().Draw(t, "future") {
				seconds = -seconds
			}
			signAs(keys().platform, keyID, time.Unix(time.Now().Unix()-seconds, 0), m.header, body)
		},
		"foreign key": func() {
			m.header = http.Header{}
			signAs(keys().foreign, keyID, time.Now(), m.header, body)
		},
		"other merchant, signed": func() { resign(map[string]any{"mchid": rapid.StringMatching(`1[0-8][0-9]{8}`).Draw(t, "mchid")}) },
		"other account, signed":  func() { resign(map[string]any{"appid": rapid.StringMatching(`wx[1-9a-f]{16}`).Draw(t, "appid")}) },
		"other trade, signed": func() {
			resign(map[string]any{"out_trade_no": rapid.StringMatching(`T2025[0-9]{13}`).Draw(t, "trade")})
		},
		"other amount, signed": func() {
			total := 30000 + rapid.SampledFrom([]int{-30000, -29999, -1, 1, 30000}).Draw(t, "fen")
			resign(map[string]any{"amount": map[string]any{"total": total, "currency": "CNY"}})
		},
		"other currency, signed": func() {
			resign(map[string]any{"amount": map[string]any{"total": 30000, "currency": rapid.SampledFrom([]string{"", "USD", "cny", "HKD"}).Draw(t, "currency")}})
		},
		"not paid, signed": func() {
			resign(map[string]any{"trade_state": rapid.SampledFrom([]string{"", "NOTPAY", "CLOSED", "PAYERROR", "success"}).Draw(t, "state")})
		},
	}
	names := make([]string, 0, len(ways))
	for name := range ways {
		names = append(names, name)
	}
	slices.Sort(names)
	m.how = rapid.SampledFrom(names).Draw(t, "how")
	ways[m.how]()
	return m
}

// Reliability 2: of 10,000 forged notifications none counts as payment of the
// order. Properly signed ones about another trade or amount are read, and the
// domain, which compares both, sees the difference.
func TestNoMutantIsAccepted(t *testing.T) {
	w, _ := newMerchant(t, nil)
	body := notification(apiKey, success, transaction(payment.TradeNo, nil))
	header := signed(body)
	tried := map[string]int{}
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		for range 100 {
			m := drawMutant(t, header, body)
			tried[m.how]++
			got, err := w.ParseNotification(ctx, m.header, []byte(m.body))
			if err == nil && got.TradeNo == paid.TradeNo && got.Amount == paid.Amount {
				t.Fatalf("mutant %q was accepted: %+v", m.how, got)
			}
		}
	})
	total := 0
	for _, n := range tried {
		total += n
	}
	if total < 10_000 || len(tried) < 15 {
		t.Errorf("only %d mutants of %d kinds tried: %v", total, len(tried), tried)
	}
}

// FuzzParseNotification: whatever strangers send, the answer is an error and no
// panic, unless it is byte for byte what WeChat Pay signed.
func FuzzParseNotification(f *testing.F) {
	w, err := NewWeChat(config("https://pay.example"))
	if err != nil {
		f.Fatal(err)
	}
	body := notification(apiKey, success, transaction(payment.TradeNo, nil))
	h := signed(body)
	f.Add(h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), h.Get("Wechatpay-Serial"), h.Get("Wechatpay-Signature"), "", []byte(body))
	f.Add("1", "n", keyID, "AAAA", "WECHATPAY2-SHA256-RSA2048", []byte(`{"resource":null}`))
	f.Add("", "", "", "", "", []byte(`{"resource":{"nonce":"123456789012","ciphertext":"x"}}`))
	f.Fuzz(func(t *testing.T, stamp, nonce, serial, sig, kind string, sent []byte) {
		header := http.Header{}
		for k, v := range map[string]string{
			"Wechatpay-Timestamp": stamp, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": serial,
			"Wechatpay-Signature": sig, "Wechatpay-Signature-Type": kind,
		} {
			header.Set(k, v)
		}
		got, err := w.ParseNotification(t.Context(), header, sent)
		if err == nil && string(sent) != body {
			t.Fatalf("accepted %q as %+v", sent, got)
		}
		if err != nil {
			if _, ok := order.AsError(err); !ok {
				t.Errorf("error without a kind: %v", err)
			}
		}
	})
}
