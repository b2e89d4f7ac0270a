package handlers

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// AgreementsJSON are the texts that a confirmation agrees to. The hash is over all
// of them; it is sent back with the confirmation, so that nobody agrees to words
// that he has not been shown (F52).
type AgreementsJSON struct {
	Version string          `json:"version"`
	Hash    string          `json:"hash"`
	Texts   []AgreementJSON `json:"texts"`
}

// AgreementJSON is one text.
type AgreementJSON struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Version string `json:"version"`
	HTML    string `json:"html"`
}

// SummaryJSON shows everything once more before it is confirmed (F54).
type SummaryJSON struct {
	Order  OrderJSON   `json:"order"`
	Groups []GroupJSON `json:"groups"`
	Lines  []LineJSON  `json:"lines"`
	Mobile string      `json:"mobile" doc:"Masked: where the code goes"`
	Term   int         `json:"term,omitempty" doc:"Years of the certificate, where it makes one of so many"`
	Offer  string      `json:"offer" doc:"Hash of what is shown, price and promise included; it is sent back with the confirmation"`
	// Verified is the 认证类型 (F8).
	Verified string `json:"verification" doc:"How the subscriber is verified (认证类型)"`
}

// PlacedJSON is an order after its confirmation or resubmission. Token is set when
// the order now belongs to another person, whose mobile was proven: go on with it (F19).
type PlacedJSON struct {
	Order OrderJSON `json:"order"`
	Token string    `json:"token,omitempty"`
}

// PayingJSON says how a payment stands, and how to make it.
type PayingJSON struct {
	State    string           `json:"state" enum:"unpaid,failed,expired,paid"`
	Channels []PayChannelJSON `json:"channels" doc:"What this client may pay through, the usual one first"`
	Request  *PaymentJSON     `json:"request,omitempty" doc:"In the mini-program: call wx.requestPayment with it; its answer decides nothing"`
	Code     *PayCodeJSON     `json:"code,omitempty" doc:"Elsewhere: what to show as a QR code"`
	Order    OrderJSON        `json:"order"`
}

// PayChannelJSON is one of the channels on offer.
type PayChannelJSON struct {
	Name  string `json:"name" enum:"wechatpay,alipay"`
	Label string `json:"label"`
}

// PayCodeJSON is an open QR code.
type PayCodeJSON struct {
	Channel string    `json:"channel" enum:"wechatpay,alipay"`
	Text    string    `json:"text"`
	Until   time.Time `json:"until"`
}

type (
	agreementsOutput struct{ Body AgreementsJSON }
	summaryOutput    struct{ Body SummaryJSON }
	orderCodeInput   struct {
		ID   string `path:"id" maxLength:"26"`
		Body struct {
			Mobile string `json:"mobile,omitempty" maxLength:"32" doc:"Of a rejected order: the new mobile"`
		}
	}
	confirmInput struct {
		ID   string `path:"id" maxLength:"26"`
		Body struct {
			Code string `json:"code" maxLength:"16"`
			Hash string `json:"agreements" maxLength:"64" doc:"Hash of the agreements that were shown and ticked"`
			// Offer keeps anybody from buying what he has not been shown.
			Offer string `json:"offer" maxLength:"64" doc:"The offer of the summary that was shown"`
		}
	}
	resubmitInput struct {
		ID   string `path:"id" maxLength:"26"`
		Body struct {
			Fields map[string]string `json:"fields,omitempty"`
			Code   string            `json:"code,omitempty" maxLength:"16"`
		}
	}
	payInput struct {
		ID   string `path:"id" maxLength:"26"`
		Body *struct {
			Channel order.PayChannel `json:"channel,omitempty" enum:"wechatpay,alipay" doc:"Through which to pay by QR code; the mini-program pays in WeChat"`
		}
	}
	placedOutput struct{ Body PlacedJSON }
	payingOutput struct{ Body PayingJSON }
)

// letterEmail is the header with the e-mail that a letter prints, where the application has none.
const letterEmail = "X-Letter-Email"

func (s *Server) apiConfirmRoutes(api huma.API) {
	operation(s, api, apiGet("/agreements").open(Plain), "get-agreements", "The texts that a confirmation agrees to", s.apiAgreements)
	operation(s, api, apiGet("/orders/:id/summary"), "get-summary", "Everything once more, to confirm it", s.apiSummary)
	operation(s, api, apiPost("/orders/:id/code"), "order-code", "Send a code to the applicant's mobile", s.apiOrderCode)
	operation(s, api, apiPost("/orders/:id/confirm"), "confirm-order", "Confirm a complete application", s.apiConfirm)
	operation(s, api, apiPost("/orders/:id/resubmit"), "resubmit-order", "Send a corrected order in again", s.apiResubmit)
	operation(s, api, apiPost("/orders/:id/pay"), "pay-order", "Open a payment: inside the mini-program, elsewhere by QR code", s.apiPay)
	operation(s, api, apiGet("/orders/:id/payment"), "get-payment", "How the payment stands", s.apiPayment)
	r := apiGet("/orders/:id/letter.pdf")
	s.matrix = append(s.matrix, r)
	s.App.Get(r.Path, func(c *fiber.Ctx) error { // a file, which huma does not describe
		k, err := s.admitCall(c, r)
		if err != nil {
			return err
		}
		o := k.order
		if typed := c.Get(letterEmail); typed != "" { // not in the address: that is logged
			email, err := emailOf(o, typed)
			if err != nil {
				return err
			}
			o.Form = o.Form.With(order.AgentEmail, email)
		}
		return s.sendLetter(c, o, k.actor())
	})
}

func (s *Server) apiAgreements(ctx context.Context, _ *nothing) (*agreementsOutput, error) {
	consent := s.consent(callOf(ctx).c)
	out := AgreementsJSON{Version: consent.Version, Hash: consent.Hash}
	for _, t := range s.texts {
		out.Texts = append(out.Texts, AgreementJSON{t.Name, t.Title, t.Version, string(t.Body)})
	}
	return &agreementsOutput{out}, nil
}

func (s *Server) apiSummary(ctx context.Context, _ *idInput) (*summaryOutput, error) {
	o := callOf(ctx).order
	v, ok := s.confirmView(o)
	if !ok {
		return nil, formIncomplete()
	}
	o = v.Order
	out := SummaryJSON{Order: s.orderJSON(o, nil), Groups: groupJSON(v.Groups), Lines: lineJSON(v.Lines), Mobile: v.Mobile, Offer: o.Hash(), Verified: o.Product.VerifiedAs()}
	if slices.Contains(termed, o.Business) {
		out.Term = o.Product.Term
	}
	return &summaryOutput{out}, nil
}

func formIncomplete() error {
	return order.Errorf(order.Conflict, "form_incomplete", "还有内容需要填写，请返回修改")
}

// apiOrderCode sends the code of F55: to the 经办人 mobile of a complete draft, or to
// the new mobile of an order that is being put right.
func (s *Server) apiOrderCode(ctx context.Context, in *orderCodeInput) (*codeOutput, error) {
	k := callOf(ctx)
	form := k.order.Form
	fixing, err := s.editable(k.order)
	switch {
	case err != nil:
		return nil, err
	case fixing:
		m, err := typedMobile(in.Body.Mobile)
		if err != nil {
			return nil, err
		}
		form = form.With(order.AgentMobile, m.Reveal())
	default:
		if _, ok := s.offer(k.order); !ok {
			return nil, formIncomplete()
		}
	}
	return s.apiCode(ctx, confirmChallenge(k.c, k.order, form))
}

// apiConfirm is the applicant's word: agreement ticked, mobile proven (F52–F56).
func (s *Server) apiConfirm(ctx context.Context, in *confirmInput) (*placedOutput, error) {
	k := callOf(ctx)
	consent := s.consent(k.c)
	offer, ok := s.offer(k.order)
	switch {
	case !ok:
		return nil, formIncomplete()
	case in.Body.Offer != offer.Hash():
		return nil, order.FormChanged
	case in.Body.Hash == "":
		return nil, order.Errorf(order.Invalid, "agreement_missing", "请先阅读并勾选同意协议")
	case in.Body.Hash != consent.Hash:
		return nil, order.Errorf(order.Conflict, "agreement_changed", "协议已更新，请重新阅读后再确认")
	}
	if err := s.Codes.Verify(ctx, confirmChallenge(k.c, k.order, k.order.Form), in.Body.Code); err != nil {
		return nil, err
	}
	done, err := s.Orders.Apply(ctx, k.order.ID, order.Command{On: order.Confirm, By: k.actor(), Consent: consent, Snapshot: in.Body.Offer, Proven: []order.Fact{order.MobileProven}})
	return s.placed(ctx, done, err)
}

// placed follows an order to the person whose mobile it now proves (F19).
func (s *Server) placed(ctx context.Context, o order.Order, err error) (*placedOutput, error) {
	if err != nil {
		return nil, err
	}
	k := callOf(ctx)
	out := PlacedJSON{Order: s.orderJSON(o, nil)}
	switch {
	case o.PersonID == k.v.PersonID():
	case k.v.Session.Kind == session.Mini:
		sess, err := s.Sessions.Create(ctx, session.Session{Kind: session.Mini, PersonID: o.PersonID, OpenID: k.v.Session.OpenID})
		if err != nil {
			return nil, err
		}
		out.Token = sess.ID
	default:
		if err := s.follow(k.c, o); err != nil {
			return nil, err
		}
	}
	return &placedOutput{out}, nil
}

// apiResubmit sends a corrected order in again (F95, F96); a new mobile is proven.
func (s *Server) apiResubmit(ctx context.Context, in *resubmitInput) (*placedOutput, error) {
	k := callOf(ctx)
	o := k.order
	if fixing, err := s.editable(o); err != nil || !fixing {
		return nil, s.notEditable(o)
	}
	typed, _ := order.Normalize(o.Product, s.typed(o, in.Body.Fields, true), s.today()) // its faults are among those of the refusal
	fix, err := s.Orders.Correct(ctx, o.ID, k.actor(), typed)
	if err := cmp.Or(err, fix.Refusal); err != nil {
		return nil, err
	}
	cmd := order.Command{On: order.Resubmit, By: k.actor(), Form: fix.Form}
	if fix.NeedsCode {
		if err := s.Codes.Verify(ctx, confirmChallenge(k.c, o, fix.Form), in.Body.Code); err != nil {
			return nil, err
		}
		cmd.Proven = []order.Fact{order.MobileProven}
	}
	done, err := s.Orders.Apply(ctx, o.ID, cmd)
	return s.placed(ctx, done, err)
}

// apiPay opens a payment: in the mini-program one that this phone's WeChat user makes,
// elsewhere one by QR code, through the channel that was chosen (F58).
func (s *Server) apiPay(ctx context.Context, in *payInput) (*payingOutput, error) {
	k := callOf(ctx)
	channel := order.WeChatPay
	if in.Body != nil && in.Body.Channel != "" {
		channel = in.Body.Channel
	}
	var request *PaymentJSON
	switch inMini := k.v.Session.Kind == session.Mini; {
	case inMini && channel != order.WeChatPay:
		return nil, order.Errorf(order.Conflict, "pay_channel_unavailable", "这里不能使用该支付方式，请换一种")
	case inMini:
		p, err := s.Orders.OpenMiniPayment(ctx, k.order.ID, k.actor(), k.v.Session.OpenID)
		if err != nil {
			return nil, err
		}
		r, err := s.Mini.RequestPayment(p.PrepayID)
		if err != nil {
			return nil, err
		}
		request = &r
	default:
		if _, err := s.Orders.OpenPayment(ctx, k.order.ID, k.actor(), channel); err != nil {
			return nil, err
		}
	}
	o, err := s.Store.Order(ctx, k.order.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.paying(ctx, o)
	if err == nil {
		out.Body.Request = request
	}
	return out, err
}

func (s *Server) apiPayment(ctx context.Context, _ *idInput) (*payingOutput, error) {
	return s.paying(ctx, callOf(ctx).order)
}

// paying says how the payment of an order stands.
func (s *Server) paying(ctx context.Context, o order.Order) (*payingOutput, error) {
	v, err := s.payViewOf(ctx, o, channelOf(callOf(ctx).c))
	if err != nil {
		return nil, err
	}
	out := PayingJSON{State: "unpaid", Order: s.orderJSON(o, nil), Channels: []PayChannelJSON{}}
	out.Order.Obstacle = v.Obstacle
	for _, c := range v.Channels {
		out.Channels = append(out.Channels, PayChannelJSON{string(c), c.Label()})
	}
	switch {
	case v.Paid:
		out.State = "paid"
	case v.Failed:
		out.State = "failed"
	case v.Expired:
		out.State = "expired"
	case v.Code != "":
		out.Code = &PayCodeJSON{string(v.Channel), v.Code, v.Until}
	}
	return &payingOutput{out}, nil
}
