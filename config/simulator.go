package config

// PointAtSimulator gives every provider address that is still empty to the
// simulator: loopback is its own server (http://127.0.0.1:PORT), which the
// product calls; the pages that a browser opens lie below PublicURL.
func (c *Config) PointAtSimulator(loopback string) {
	const root = "/playground/"
	for path, address := range map[string]string{
		"wechat.base_url":    loopback + root + "api.weixin.qq.com",
		"wechat.open_url":    c.PublicURL + root + "open.weixin.qq.com",
		"wechat.mp_url":      c.PublicURL + root + "mp.weixin.qq.com",
		"wechatpay.base_url": loopback + root + "api.mch.weixin.qq.com",
		"alipay.gateway_url": loopback + root + "openapi.alipay.com/gateway.do",
		"sms.base_url":       loopback + root + "sms.tencentcloudapi.com",
		"courier.base_url":   loopback + root + "poll.kuaidi100.com",
		"invoice.base_url":   loopback + root + "apigw.goldentec.com",
		"realname.base_url":  loopback + root + "faceid.tencentcloudapi.com",
	} {
		for _, v := range variables(c) {
			if v.path == path && v.field.IsZero() {
				_ = v.set(address) // an address takes any text
				c.origins[path] = "simulator"
			}
		}
	}
}
