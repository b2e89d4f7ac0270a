package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/proxy"
	"github.com/pquerna/otp/totp"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/miniprogram"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// devDir is where development remembers the moved clock; empty in production,
// where the clock does not move.
func devDir(cfg *config.Config) string {
	if cfg.Production() {
		return ""
	}
	return cfg.DataDir
}

// player is one of the invented people of a development start.
type player struct {
	name, openID, mobile, idNumber string
	roles                          []order.Role // empty: an applicant
	shown                          sim.Role
}

// players are all invented; 王小琪's ID number is the design's test vector.
var players = []player{
	{"王小琪", "oDevApplicant00000000000001", "17700007069", "110101199003070011", nil, sim.Applicant},
	{"钱二宝", "oDevApplicant00000000000002", "17700007070", "110101199208150023", nil, sim.Applicant},
	{"段正明", "oDevLegalRep0000000000000001", "13800000021", "11010519491231002X", nil, sim.LegalRep},
	{"李审核", "oDevReviewer000000000000001", "13800000011", "", []order.Role{order.Reviewer}, sim.Reviewer},
	{"周复核", "oDevReviewer000000000000002", "13800000012", "", []order.Role{order.Reviewer}, sim.Reviewer},
	{"陈制证", "oDevIssuer00000000000000001", "13800000013", "", []order.Role{order.Issuer}, sim.Issuer},
	{"赵发货", "oDevShipper0000000000000001", "13800000014", "", []order.Role{order.Shipper}, sim.Shipper},
	{"吴财务", "oDevFinance0000000000000001", "13800000016", "", []order.Role{order.Finance}, sim.Finance},
	{"孙管理", "oDevAdmin000000000000000001", "13800000015", "", []order.Role{order.Admin, order.Finance}, sim.Admin},
}

// playground is the outside world of a development instance.
type playground struct {
	sim  *sim.Server
	base string // http://127.0.0.1:PORT
}

// openPlayground seeds the invented people and starts the simulators on a port
// of their own, which the product reaches like any provider.
func (a *app) openPlayground(ctx context.Context) error {
	personas, err := a.seed(ctx)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base := "http://" + l.Addr().String()
	a.cfg.PointAtSimulator(base)
	cfg, err := a.simConfig(personas)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	s, err := sim.New(cfg)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the playground ended", "err", err)
		}
	}()
	a.onClose(s.Close)
	a.onClose(srv.Close)
	a.dev = &playground{sim: s, base: base}
	return nil
}

// seed makes one person per role, once.
func (a *app) seed(ctx context.Context) ([]sim.Persona, error) {
	id := newID(a.clock.Now)
	var out []sim.Persona
	err := a.db.InTx(ctx, func(tx order.Tx) error {
		out = nil
		for _, p := range players {
			persona := sim.Persona{Name: p.name, Role: p.shown, OpenID: p.openID, UnionID: "u" + p.openID[1:], Mobile: p.mobile, IDNumber: p.idNumber}
			if len(p.roles) > 0 {
				secret, err := seedStaff(ctx, tx, a.cfg.WeChat.AppID, p, id, a.clock.Now())
				if err != nil {
					return err
				}
				persona.TOTPSecret = secret
			}
			out = append(out, persona)
		}
		return nil
	})
	return out, err
}

// seedStaff makes a member of staff, bound to WeChat, and returns the TOTP secret.
func seedStaff(ctx context.Context, tx order.Tx, appID string, p player, id func() string, now time.Time) (string, error) {
	person, err := tx.PersonByMobile(ctx, order.Person{ID: id(), Mobile: identity.NewMobile(p.mobile), CreatedAt: now})
	if err != nil {
		return "", err
	}
	switch s, err := tx.StaffByPerson(ctx, person.ID); {
	case err == nil:
		return s.TOTPSecret, nil
	case !errors.Is(err, order.NotFound):
		return "", err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "yuncaidun", AccountName: p.name})
	if err != nil {
		return "", err
	}
	if err := tx.SaveStaff(ctx, order.Staff{ID: id(), PersonID: person.ID, Name: p.name, Roles: p.roles, Leader: slices.Contains(p.roles, order.Admin), TOTPSecret: key.Secret(), CreatedAt: now}); err != nil {
		return "", err
	}
	return key.Secret(), tx.LinkWeChat(ctx, order.WeChatIdentity{AppID: appID, OpenID: p.openID, UnionID: "u" + p.openID[1:], PersonID: person.ID, Subscribed: true, UpdatedAt: now})
}

// simConfig hands the effective configuration to the simulators as plain values,
// so that overriding one keeps both ends talking.
func (a *app) simConfig(personas []sim.Persona) (sim.Config, error) {
	cfg := a.cfg
	out := sim.Config{
		ProductURL: "http://" + cfg.Listen, PublicURL: a.links.PublicURL, Dir: filepath.Join(cfg.DataDir, "playground"), Personas: personas, Log: a.log,
		Now: a.clock.fixed(), // from here on Advance moves both
		WeChat: sim.WeChat{
			AppID: cfg.WeChat.AppID, AppSecret: cfg.WeChat.AppSecret.Reveal(), Token: cfg.WeChat.Token.Reveal(),
			EncodingAESKey: cfg.WeChat.AESKey.Reveal(), OriginalID: cfg.WeChat.OriginalID, Templates: map[string]sim.Template{}, Subscriptions: map[string]sim.Template{},
		},
		MiniProgram: sim.MiniProgram{AppID: cfg.MiniProgram.AppID, AppSecret: cfg.MiniProgram.AppSecret.Reveal(), Pages: miniprogram.Pages(), Subscriptions: map[string]sim.Template{}},
		SMS: sim.SMS{
			SecretID: cfg.SMS.SecretID.Reveal(), SecretKey: cfg.SMS.SecretKey.Reveal(), SdkAppID: cfg.SMS.SDKAppID, SignName: cfg.SMS.SignName,
			Templates: map[string]string{},
		},
		Courier: sim.Courier{Key: cfg.Courier.Key.Reveal()},
		FaceID:  sim.FaceID{SecretID: cfg.RealName.SecretID.Reveal(), SecretKey: cfg.RealName.SecretKey.Reveal(), RuleID: cfg.RealName.FaceRuleID},
		Golden:  sim.Golden{AppKey: cfg.Invoice.AppKey, AppSecret: cfg.Invoice.AppSecret.Reveal(), SellerTaxNo: cfg.Invoice.SellerTaxNo, SellerName: cfg.CA.Name},
	}
	if !cfg.Playground.WeChatPayKey.Empty() { // otherwise the real one is used
		merchant, platform, err := keyPair("WECHATPAY", cfg.WeChatPay.PrivateKey, cfg.Playground.WeChatPayKey)
		if err != nil {
			return sim.Config{}, err
		}
		out.Pay = sim.Pay{
			MchID: cfg.WeChatPay.MchID, AppID: cfg.WeChat.AppID, APIv3Key: cfg.WeChatPay.APIV3Key.Reveal(), MerchantSerial: cfg.WeChatPay.CertSerial,
			MerchantKey: merchant, PlatformKeyID: cfg.WeChatPay.PublicKeyID, PlatformKey: platform,
		}
	}
	if !cfg.Playground.AlipayKey.Empty() {
		application, platform, err := keyPair("ALIPAY", cfg.Alipay.PrivateKey, cfg.Playground.AlipayKey)
		if err != nil {
			return sim.Config{}, err
		}
		out.Alipay = sim.Alipay{AppID: cfg.Alipay.AppID, SellerID: cfg.Alipay.SellerID, AppKey: application, PlatformKey: platform}
	}
	if face, err := a.font(); err == nil { // without it, the PDFs are in Latin letters
		out.Golden.TTF = face.TTF
	}
	for name, id := range smsTemplateIDs(cfg.SMS.Templates) {
		out.SMS.Templates[id] = notice.SMSTemplates()[name]
	}
	for _, set := range []struct {
		prefix     string
		configured map[string]string
		templates  map[string]sim.Template
	}{
		{"SIM", cfg.WeChat.Templates, out.WeChat.Templates},
		{"SUB", cfg.WeChat.Subscriptions, out.WeChat.Subscriptions},
		{"MINI", cfg.MiniProgram.Subscriptions, out.MiniProgram.Subscriptions},
	} {
		for name, id := range wechatTemplateIDs(set.prefix, set.configured) {
			t := notice.WeChatTemplates()[name]
			set.templates[id] = sim.Template{Title: t[0], Content: t[1]}
		}
	}
	return out, nil
}

// keyPair reads what a simulated payment platform needs: the merchant's public key and
// the platform's own.
func keyPair(name string, merchant, platform config.Secret) (*rsa.PublicKey, *rsa.PrivateKey, error) {
	m, err := config.RSAKey(merchant)
	if err != nil {
		return nil, nil, fmt.Errorf("YCD_%s_PRIVATE_KEY: %w", name, err)
	}
	p, err := config.RSAKey(platform)
	if err != nil {
		return nil, nil, fmt.Errorf("YCD_PLAYGROUND_%s_KEY: %w", name, err)
	}
	return &m.PublicKey, p, nil
}

// mount puts the playground below /playground/ and lets it move the clock.
func (p *playground) mount(web *handlers.Server, c *clock) {
	web.Mount(fiber.MethodPost, "/playground/clock", handlers.Plain, func(ctx *fiber.Ctx) error {
		var in struct {
			Advance string `json:"advance"`
		}
		if err := ctx.BodyParser(&in); err != nil {
			return order.Errorf(order.Invalid, "clock_invalid", `请发送 {"advance":"168h"}`)
		}
		d, err := time.ParseDuration(in.Advance)
		if err != nil || d <= 0 {
			return order.Errorf(order.Invalid, "clock_invalid", "时钟只能向前调整，例如 24h")
		}
		if err := c.Advance(d); err != nil {
			return err
		}
		p.sim.Advance(d)
		return ctx.JSON(fiber.Map{"now": c.Now()})
	})
	mountMini(web)
	web.MountAll("/playground", handlers.Public, func(ctx *fiber.Ctx) error {
		if ctx.Path() == "/playground" {
			return ctx.Redirect("/playground/")
		}
		return proxy.DoTimeout(ctx, p.base+string(ctx.Request().RequestURI()), 70*time.Second)
	})
}
