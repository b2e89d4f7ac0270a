package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/bot"
	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/jobs"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// openWeb builds the portal, the console, the callbacks and the bot.
func (a *app) openWeb() error {
	u, err := a.publicURL()
	if err != nil {
		return err
	}
	places, err := identity.DefaultPlaces()
	if err != nil {
		return err
	}
	face, err := a.font()
	if err != nil {
		return err
	}
	index, err := key(a.cfg.PII.IndexKey, "YCD_PII_INDEX_KEY")
	if err != nil {
		return err
	}
	codesKey, err := derive(index, "sms codes")
	if err != nil {
		return err
	}
	linksKey, err := derive(index, "signed links")
	if err != nil {
		return err
	}
	limits := session.DefaultLimits(codesKey)
	limits.TTL = a.cfg.SMS.CodeTTL
	limits.LoggedIn = handlers.LoggedInCodes()
	var faces handlers.FaceCheck
	if a.out.realName.OffersFace() {
		faces = a.out.realName
	}
	a.web, err = handlers.New(handlers.Deps{
		Orders: a.orders, Store: a.db, Sessions: session.NewSessions(a.rdb, a.clock.Now), Codes: session.NewCodes(a.rdb, a.clock.Now, limits),
		Tickets: session.NewTickets(a.rdb, a.clock.Now), Scans: session.NewScans(a.rdb, a.clock.Now), Mini: a.miniProgram(), Objects: a.out.objects, SendCode: a.out.sendCode, Identify: a.out.realName.Identify, Face: faces,
		Status: a.certificates, Reminders: a.reminders, Attempts: session.NewDedup(a.rdb), Enquiries: a.db, Workdays: a.settings.Calendar(),
		Unlocks: a.unlocks(a.certificates), Runs: a.runs(), HelperURL: a.cfg.HelperURL, MaxDrafts: a.cfg.MaxDrafts, TrustedProxies: a.cfg.TrustedProxies,
		Places: places, Font: face, Metrics: a.metrics, Checks: a.checks(), Log: a.log, Now: a.clock.Now, NewID: newID(a.clock.Now), Key: linksKey,
		PublicURL: u, CA: a.cfg.CA.Name, Sealer: a.sealer,
		InitialPINs: initialPINs{a},
	})
	if err != nil {
		return err
	}
	if a.cfg.Production() && len(a.cfg.TrustedProxies) == 0 {
		a.log.Warn("YCD_TRUSTED_PROXIES is empty: all who come through one proxy share the limits of one address")
	}
	a.web.MountWeChatPay(a.out.pay, a.orders.PaymentSucceeded)
	if a.out.alipay != nil {
		a.web.MountAlipay(a.out.alipay.ParseNotification, a.orders.PaymentSucceeded)
	}
	a.web.MountCourier(a.out.courier.ParsePush, a.orders.CourierReported)
	a.web.MountInvoices(a.out.invoices.ParseNotification, a.orders.InvoiceHeard)
	a.openConsole()
	if err := a.openBot(); err != nil {
		return err
	}
	if err := a.openPKI(); err != nil {
		return err
	}
	if !a.cfg.WatchApart() {
		a.web.Watched()
	}
	if a.dev != nil {
		a.dev.mount(a.web, a.clock)
	}
	if open := a.web.Unlisted(); len(open) > 0 {
		return fmt.Errorf("these routes do not say who may use them: %v", open)
	}
	return nil
}

// miniProgram is the mini-program as the API needs it.
func (a *app) miniProgram() handlers.MiniProgram {
	return handlers.MiniProgram{
		AppID: a.cfg.MiniProgram.AppID, User: a.out.mini.User, Mobile: a.out.mini.Mobile,
		RequestPayment: func(prepayID string) (handlers.PaymentJSON, error) {
			r, err := a.out.pay.RequestPayment(prepayID, a.clock.Now())
			return handlers.PaymentJSON(r), err
		},
		Subscriptions: a.out.miniSubscriptions, Consents: a.db,
	}
}

// derive makes the key of one purpose from the index key, so that no key serves
// two (RFC 5869). Every process derives the same.
func derive(index []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, index, nil, "yuncaidun "+purpose, len(index))
}

// openConsole adds the staff's part of the web.
func (a *app) openConsole() {
	a.web.Console(handlers.ConsoleDeps{
		Settings: a.settings,
		Records:  a.db, Staffing: a.staffing(), Reconciler: a.books, Once: session.NewDedup(a.rdb),
		AuthorizeURL: a.out.wechat.AuthorizeURL, Follower: a.out.wechat.Follower, AppID: a.cfg.WeChat.AppID, StationAuto: a.cfg.Station.Auto,
		Stations: stations{a, jobs.Deps{Certificates: a.db}}, StationRemote: a.cfg.Station.Remote,
		Stock: certificate.NewStock(store.Stock{DB: a.db}, a.clock.Now),
	})
}

// staffing keeps the accounts of staff.
func (a *app) staffing() *order.Staffing {
	sessions := session.NewSessions(a.rdb, a.clock.Now)
	end := func(ctx context.Context, id string) error { return sessions.DeleteAll(ctx, session.Staff, id) }
	return order.NewStaffing(a.db, end, a.clock.Now, newID(a.clock.Now))
}

// openBot mounts the official account's callback.
func (a *app) openBot() error {
	w := a.cfg.WeChat
	codec, err := bot.NewCodec(bot.Account{
		AppID: w.AppID, OriginalID: w.OriginalID, Token: w.Token.Reveal(), AESKey: w.AESKey.Reveal(), PreviousAESKey: w.AESKeyPrevious.Reveal(),
	}, a.clock.Now)
	if err != nil {
		return usageError{err}
	}
	recogniser, err := intent.New()
	if err != nil {
		return err
	}
	dialogue := bot.NewDialogue(bot.Deps{
		AppID:           w.AppID,
		PublicURL:       a.links.PublicURL,
		Recogniser:      recogniser,
		Store:           a.db,
		Deliveries:      a.orders,
		Reviews:         a.orders,
		Staffing:        a.staffing(),
		Codes:           a.web.Codes,
		SendCode:        a.out.sendCode,
		UnionID:         a.out.wechat.UnionID,
		Vault:           a.db.Sealer(),
		Memory:          session.NewContexts(a.rdb, a.clock.Now),
		Workdays:        a.settings.Calendar(),
		Catalogue:       a.orders.Catalogue,
		Payments:        a.orders,
		Punctual:        a.orders,
		Enquiries:       a.db,
		Consents:        a.db,
		Certs:           a.certificates,
		CustomerService: w.CustomerService,
		Now:             a.clock.Now,
		NewID:           newID(a.clock.Now),
		Log:             a.log,
	})
	h := bot.Handler(codec, dialogue, session.NewTalks(a.rdb, a.clock.Now, bot.AnswerTTL, bot.MemoryTTL), a.log)
	a.web.Mount(fiber.MethodGet, "/wechat/official", handlers.Signed, h)
	a.web.Mount(fiber.MethodPost, "/wechat/official", handlers.Signed, h)
	return nil
}

// menus are what the account shall show: to everybody, and to staff. With a
// mini-program its pages are entries of the menu.
func menus(publicURL, miniAppID string) wechat.Menus {
	m := bot.Menus{PublicURL: publicURL, MiniProgram: miniAppID != ""}
	return wechat.Menus{Common: buttons(miniAppID, m.Common()), Tagged: buttons(miniAppID, m.Staff())}
}

// showMenu puts the bot's menus into the official account. Only development does
// so by itself: in production an operator decides when the menu changes.
func (a *app) showMenu(ctx context.Context) error {
	return pushMenus(ctx, a.out.wechat, a.db, a.cfg.WeChat.AppID, menus(a.links.PublicURL, a.cfg.MiniProgram.AppID))
}

func buttons(miniAppID string, of []bot.Button) []wechat.Button {
	out := make([]wechat.Button, 0, len(of))
	for _, b := range of {
		w := wechat.Button{Name: b.Name, Key: b.Key, URL: b.URL, Page: b.Page, Sub: buttons(miniAppID, b.Sub)}
		if b.Page != "" {
			w.AppID = miniAppID
		}
		out = append(out, w)
	}
	return out
}
