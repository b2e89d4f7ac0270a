package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/courier"
	"github.com/yuncaidun/yuncaidun/provider/invoice"
	"github.com/yuncaidun/yuncaidun/provider/objects"
	"github.com/yuncaidun/yuncaidun/provider/pay"
	"github.com/yuncaidun/yuncaidun/provider/realname"
	"github.com/yuncaidun/yuncaidun/provider/sms"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// outside is everything beyond our processes, through its real clients.
type outside struct {
	pay      *pay.WeChat
	alipay   *pay.Alipay // nil: not offered
	sms      *sms.Tencent
	wechat   *wechat.OfficialAccount
	mini     *wechat.MiniProgram
	realName *realname.Tencent
	courier  *courier.Kuaidi100
	invoices *invoice.Golden
	objects  *objects.Store

	wechatTemplates   map[string]string
	subscriptions     map[string]string // of the official account
	miniSubscriptions map[string]string
	codeSeconds       int
	newID             func() string
}

func (a *app) openOutside(ctx context.Context) (*outside, error) {
	cfg := a.cfg
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ycd_provider_seconds", Help: "Calls to providers.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
	}, []string{"provider", "op", "outcome"})
	a.metrics.MustRegister(latency)
	of := func(provider string) prometheus.ObserverVec {
		return latency.MustCurryWith(prometheus.Labels{"provider": provider})
	}
	o := &outside{
		wechatTemplates:   wechatTemplateIDs("SIM", cfg.WeChat.Templates),
		subscriptions:     wechatTemplateIDs("SUB", cfg.WeChat.Subscriptions),
		miniSubscriptions: wechatTemplateIDs("MINI", cfg.MiniProgram.Subscriptions),
		codeSeconds:       int(cfg.SMS.CodeTTL.Seconds()), newID: newID(a.clock.Now),
	}
	var err error
	if o.pay, err = pay.NewWeChat(pay.WeChatConfig{
		AppID: cfg.WeChat.AppID, MiniAppID: cfg.MiniProgram.AppID, MchID: cfg.WeChatPay.MchID, CertSerial: cfg.WeChatPay.CertSerial, PrivateKey: cfg.WeChatPay.PrivateKey.Reveal(),
		PublicKeyID: cfg.WeChatPay.PublicKeyID, PublicKey: cfg.WeChatPay.PublicKey.Reveal(), APIv3Key: cfg.WeChatPay.APIV3Key.Reveal(),
		NotifyURL: a.links.PublicURL + "/callbacks/wechatpay", BaseURL: cfg.WeChatPay.BaseURL, Latency: of("wechatpay"),
	}); err != nil {
		return nil, err
	}
	if cfg.Alipay.Configured() {
		if o.alipay, err = pay.NewAlipay(pay.AlipayConfig{
			AppID: cfg.Alipay.AppID, SellerID: cfg.Alipay.SellerID, PrivateKey: cfg.Alipay.PrivateKey.Reveal(), PublicKey: cfg.Alipay.PublicKey.Reveal(),
			NotifyURL: a.links.PublicURL + "/callbacks/alipay", GatewayURL: cfg.Alipay.GatewayURL, Latency: of("alipay"),
		}); err != nil {
			return nil, err
		}
	}
	if o.sms, err = sms.NewTencent(sms.Config{
		SecretID: cfg.SMS.SecretID.Reveal(), SecretKey: cfg.SMS.SecretKey.Reveal(), SdkAppID: cfg.SMS.SDKAppID, SignName: cfg.SMS.SignName,
		Template: a.settings.SMSTemplate, Region: cfg.SMS.Region, BaseURL: cfg.SMS.BaseURL, Now: a.clock.Now, Latency: of("sms"),
	}); err != nil {
		return nil, err
	}
	if o.realName, err = realname.NewTencent(realname.Config{
		SecretID: cfg.RealName.SecretID.Reveal(), SecretKey: cfg.RealName.SecretKey.Reveal(), FaceRuleID: cfg.RealName.FaceRuleID, BaseURL: cfg.RealName.BaseURL, Now: a.clock.Now, Latency: of("realname"),
	}); err != nil {
		return nil, err
	}
	if o.courier, err = courier.NewKuaidi100(courier.Config{
		Key: cfg.Courier.Key.Reveal(), Salt: cfg.Courier.Salt.Reveal(), CallbackURL: a.links.PublicURL + "/callbacks/courier", BaseURL: cfg.Courier.BaseURL, Latency: of("courier"),
	}); err != nil {
		return nil, err
	}
	if o.invoices, err = invoice.NewGolden(invoice.Config{
		AppKey: cfg.Invoice.AppKey, AppSecret: cfg.Invoice.AppSecret.Reveal(), SellerTaxNo: cfg.Invoice.SellerTaxNo, TypeCode: cfg.Invoice.TypeCode,
		TaxCode: cfg.Invoice.TaxCode, TaxRate: cfg.Invoice.TaxRate, CallbackURL: a.links.PublicURL + "/callbacks/invoice", BaseURL: cfg.Invoice.BaseURL,
		Now: a.clock.Now, Latency: of("invoice"),
	}); err != nil {
		return nil, err
	}
	if o.wechat, err = wechat.NewOfficialAccount(wechat.Config{
		AppID: cfg.WeChat.AppID, AppSecret: cfg.WeChat.AppSecret.Reveal(),
		BaseURL: cfg.WeChat.BaseURL, OpenURL: cfg.WeChat.OpenURL, MPURL: cfg.WeChat.MPURL, Latency: of("wechat"),
	}, session.NewTokenCache(a.rdb, a.clock.Now)); err != nil {
		return nil, err
	}
	if o.mini, err = wechat.NewMiniProgram(wechat.MiniConfig{
		AppID: cfg.MiniProgram.AppID, AppSecret: cfg.MiniProgram.AppSecret.Reveal(), BaseURL: cfg.WeChat.BaseURL, Latency: of("miniprogram"),
	}, session.NewTokenCache(a.rdb, a.clock.Now)); err != nil {
		return nil, err
	}
	if o.objects, err = a.openObjects(ctx, of("objects")); err != nil {
		return nil, err
	}
	a.onClose(o.objects.Close)
	return o, nil
}

// openObjects opens the bucket that is configured, or else the folder.
func (a *app) openObjects(ctx context.Context, latency prometheus.ObserverVec) (*objects.Store, error) {
	o := a.cfg.Objects
	if !o.Configured() {
		return objects.OpenFolder(filepath.Join(a.cfg.DataDir, "objects"), a.db.Sealer())
	}
	return objects.OpenS3(ctx, objects.S3Config{
		EndpointURL: o.EndpointURL, Region: o.Region, Bucket: o.Bucket, PathStyle: o.PathStyle,
		AccessKey: o.AccessKey.Reveal(), SecretKey: o.SecretKey.Reveal(), Latency: latency,
	}, a.db.Sealer())
}

// gateways are the payment platforms that money goes through.
func (o *outside) gateways() map[order.PayChannel]order.PaymentGateway {
	out := map[order.PayChannel]order.PaymentGateway{order.WeChatPay: o.pay}
	if o.alipay != nil {
		out[order.Alipay] = o.alipay
	}
	return out
}

// bills are the payment platforms that say every day what they received and returned.
func (o *outside) bills() map[order.PayChannel]order.BillSource {
	out := map[order.PayChannel]order.BillSource{order.WeChatPay: o.pay}
	if o.alipay != nil {
		out[order.Alipay] = o.alipay
	}
	return out
}

// smsTemplateIDs are the configured ids; the simulator's, in development, are
// made from the sorted names.
func smsTemplateIDs(configured map[string]string) map[string]string {
	if len(configured) > 0 {
		return configured
	}
	ids := map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(notice.SMSTemplates())) {
		ids[name] = strconv.Itoa(2000001 + i)
	}
	return ids
}

// wechatTemplateIDs are the configured ids; the simulator's, in development, are
// the names, with a prefix that tells the kinds of messages apart.
func wechatTemplateIDs(prefix string, configured map[string]string) map[string]string {
	if len(configured) > 0 {
		return configured
	}
	ids := map[string]string{}
	for name := range notice.WeChatTemplates() {
		id := prefix + "-" + name
		ids[name] = id + strings.Repeat("x", 43-len(id))
	}
	return ids
}

// purposes say in the SMS what a code is for.
var purposes = map[string]string{
	"login": "登录", "auth_phone": "法定代表人验证手机号", "auth_sign": "签署授权书", "confirm": "提交订单", "resubmit": "修改手机号", "bind": "绑定微信", "staff_bind": "工作人员绑定微信",
	"freeze": "冻结证书", "revoke": "吊销证书", "restore": "恢复证书", "rebind": "更换绑定用户", "rebind_new": "绑定新手机号",
	"unlock":      "解锁 UKEY",
	"initial_pin": "查看初始口令",
	"erase":       "删除资料", "copy": "下载资料", "close_account": "注销账号",
}

// sendCode sends a verification code. It goes out at once: a code that waits in
// a queue is dead, and codes are never stored in jobs.
func (o *outside) sendCode(ctx context.Context, to identity.Mobile, purpose, code string) error {
	what, ok := purposes[purpose]
	if !ok {
		return fmt.Errorf("no wording for codes of purpose %q", purpose)
	}
	_, err := o.sms.Send(ctx, o.newID(), to, notice.CodeTemplate, []string{code, what, strconv.Itoa(o.codeSeconds)})
	return err
}
