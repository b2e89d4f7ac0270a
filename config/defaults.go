package config

import "time"

// demoCAName is clearly invented; production must name its own CA.
const demoCAName = "云采示范电子认证有限公司"

// demoPolicyOID lies in the arc that ITU-T X.660 keeps for examples.
const demoPolicyOID = "2.999.1.1"

// Where the payment platforms are.
const (
	weChatPayHost = "https://api.mch.weixin.qq.com"
	alipayHost    = "https://openapi.alipay.com/gateway.do"
)

// setDefaults fills c for its environment. Identifiers that a provider hands out
// have a value outside production only, where the simulators accept them.
func (c *Config) setDefaults() {
	c.Roles = AllRoles()
	c.DataDir = "var"
	c.Font = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
	c.MaxDrafts = 20
	c.HelperURL = "http://127.0.0.1:27180"
	c.SMS.Region = "ap-guangzhou"
	c.SMS.CodeTTL = 60 * time.Second // F56
	c.Invoice.TaxRate = 60

	if c.Production() {
		c.Listen = ":8080"
		c.WatchListen = "127.0.0.1:8081"
		c.WeChat.BaseURL = "https://api.weixin.qq.com"
		c.WeChat.OpenURL = "https://open.weixin.qq.com"
		c.WeChat.MPURL = "https://mp.weixin.qq.com"
		c.WeChatPay.BaseURL = weChatPayHost
		c.Alipay.GatewayURL = alipayHost
		c.SMS.BaseURL = "https://sms.tencentcloudapi.com"
		c.Courier.BaseURL = "https://poll.kuaidi100.com"
		c.RealName.BaseURL = "https://faceid.tencentcloudapi.com"
		c.Invoice.BaseURL = "https://apigw.goldentec.com"
		return
	}
	c.Listen = "127.0.0.1:8080"
	c.CA.Name = demoCAName
	c.CA.PolicyOID = demoPolicyOID
	c.HSM.Module = "/usr/lib/softhsm/libsofthsm2.so"
	c.Token.Module = c.HSM.Module
	c.Station.Auto = true
	c.WeChat.AppID = "wx00000000000000a1"
	c.WeChat.OriginalID = "gh_00000000000a"
	c.MiniProgram.AppID = "wx00000000000000b1"
	c.WeChatPay.MchID = "1900000000"
	c.WeChatPay.CertSerial = "00000000000000000000000000000000000000A1"
	c.WeChatPay.PublicKeyID = "PUB_KEY_ID_0119000000002026010100000000000000"
	c.Alipay.AppID = "2021000000000000"
	c.Alipay.SellerID = "2088000000000000"
	c.SMS.SDKAppID = "1400000000"
	c.SMS.SignName = "云采盾"
	c.RealName.FaceRuleID = "1"
	c.Invoice.AppKey = "gd_00000000000000a1"
	c.Invoice.SellerTaxNo = "91110108MA00TEN18F"
	c.Invoice.TypeCode = "082"
	c.Invoice.TaxCode = "3040203000000000000"
}
