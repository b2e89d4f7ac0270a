package tencent

import (
	"testing"
	"time"
)

// The worked example of the page "Signature v3" that every Tencent Cloud product
// repeats (https://www.tencentcloud.com/document/product/1021/34193): one request,
// printed over the years with full and with starred sample keys, and later with
// the action among the signed headers.
func TestSignatureMatchesTheDocumentedExample(t *testing.T) {
	const body = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	tests := map[string]struct {
		secretID, secretKey, action string
		want                        string
	}{
		"two signed headers": {
			secretID: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", secretKey: "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
			want: "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
		},
		"two signed headers, starred keys": {
			secretID: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", secretKey: "Gu5t9xGARNpq86cd98joQYCN3*******",
			want: "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, Signature=2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c",
		},
		"with the action": {
			secretID: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", secretKey: "Gu5t9xGARNpq86cd98joQYCN3*******", action: "DescribeInstances",
			want: "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature=be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := signature{
				secretID: tt.secretID, secretKey: tt.secretKey,
				service: "cvm", host: "cvm.tencentcloudapi.com",
				contentType: "application/json; charset=utf-8", action: tt.action,
				at: time.Unix(1551113065, 0), body: []byte(body),
			}.authorization()
			if got != tt.want {
				t.Errorf("authorization =\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

// The date of the credential scope is UTC even where the process runs in
// Shanghai: a local date fails every night from 00:00 to 08:00.
func TestCredentialScopeIsUTC(t *testing.T) {
	shanghai := time.FixedZone("Asia/Shanghai", 8*3600)
	at := time.Date(2026, 11, 24, 3, 0, 0, 0, shanghai) // 2026-11-23T19:00Z
	s := signature{secretID: "id", secretKey: "key", service: "sms", host: "h", contentType: "application/json", action: "SendSms", at: at}
	utc := s
	utc.at = at.UTC()
	if s.authorization() != utc.authorization() {
		t.Error("the zone of the clock changes the signature")
	}
}
