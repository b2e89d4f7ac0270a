package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/evidence"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/letter"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// linksFor are the addresses of one message: the legal representative's has a
// link of its own.
func (d Deps) linksFor(ctx context.Context, n order.Notification, o order.Order) (links notice.Links, err error) {
	links = d.Links
	if n.To != order.ToLegalRep {
		links.Token, err = d.tokenOf(ctx, n, o)
		return links, err
	}
	token, until, err := d.Orders.SendingToken(ctx, n.ID)
	if err != nil {
		return links, err
	}
	links.Web, links.Until = links.Authorize(token), until
	links.Authorization = cmp.Or(d.miniLink(ctx, n, token), links.Web)
	return links, nil
}

// miniLink opens the mini-program; empty when there is none, or WeChat makes no link: then
// the page of the web does, for one way is better than none.
func (d Deps) miniLink(ctx context.Context, n order.Notification, token string) string {
	if d.MiniProgramLink == nil {
		return ""
	}
	link, err := d.MiniProgramLink(ctx, token)
	if err != nil {
		d.Log.WarnContext(ctx, "the legal representative is sent to the web, not to the mini-program", "notification", n.ID, "err", err)
		return ""
	}
	return link
}

// tokenOf is the USBKEY that a message names: an order may have several, and its tail is
// another's tomorrow.
func (d Deps) tokenOf(ctx context.Context, n order.Notification, o order.Order) (string, error) {
	if !notice.NamesToken(n.Notice) {
		return "", nil
	}
	events, err := d.Store.Events(ctx, o.ID)
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(events, func(e order.EventRecord) bool { return e.Seq == n.Seq }); i >= 0 {
		if token := certificate.TokenIn(events[i]); token != "" {
			return token, nil
		}
	}
	if o.Certificate == "" {
		return "", nil
	}
	c, err := d.Certificates.Certificate(ctx, o.Certificate)
	if errors.Is(err, order.NotFound) {
		return "", nil
	}
	return c.TokenSerial, err
}

// sent records that an SMS went out. That the legal representative was told is
// part of the proof, so it is recorded first; doing so again changes nothing.
func (d Deps) sent(ctx context.Context, n order.Notification) error {
	if n.To == order.ToLegalRep {
		if err := d.Orders.RecordSending(ctx, n.ID, cmp.Or(n.ProviderID, "reported")); err != nil {
			return err
		}
	}
	return d.record(ctx, n, order.DeliverySent, "")
}

// forget erases the pictures and papers of an authorisation whose legal representative
// has declined. Doing so again changes nothing.
func (d Deps) forget(ctx context.Context, id string) error {
	a, err := d.Store.Authorization(ctx, id)
	if err != nil {
		return err
	}
	for _, id := range []string{order.LegalDocument(a.ID), order.LegalSignature(a.ID), order.LegalLetter(a.ID), order.LegalEvidence(a.ID)} {
		if err := d.Objects.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// authorization makes the signed letter and the evidence pack of an authorisation.
// The issuer sees digests only. Doing it again changes nothing: both have names of
// their own, and the first ones that are recorded stay.
func (d Deps) authorization(ctx context.Context, at attempt) error {
	a, err := d.Store.Authorization(ctx, at.ref)
	if err != nil || a.Letter != "" || a.SignedAt.IsZero() {
		return err
	}
	if a.Forgotten() { // while it was made
		return d.forget(ctx, a.ID)
	}
	o, err := d.Store.Order(ctx, a.OrderID)
	if err != nil {
		return err
	}
	base := a // whose words and proof they are
	if a.ReuseOf != "" {
		if base, err = d.Store.Authorization(ctx, a.ReuseOf); err != nil {
			return err
		}
	}
	var picture []byte
	if a.ReuseOf == "" {
		if picture, err = d.Objects.Get(ctx, a.Proof.Signature.Object); err != nil {
			return err
		}
	}
	sealer, err := d.Sealer(ctx, fmt.Sprintf("%s-%d", a.ID, at.n))
	if err != nil {
		return pending(err)
	}
	text := letter.ForOrder(d.CA, o, a, base.Mandate.Until)
	pdf, err := letter.AuthorizationPDF(d.Font, text, letter.Signing{Picture: picture, At: a.SignedAt, Receipt: a.Proof.Receipt, Proofs: proofLines(a, base, text)})
	if err != nil {
		return err
	}
	if pdf, err = evidence.SealPDF(pdf, evidence.PDFSeal{Name: d.CA + "授权书签章", Reason: "法定代表人授权 " + a.Proof.Receipt, At: d.Now()}, sealer); err != nil {
		return pending(err)
	}
	facts := factsOf(o, a, base)
	facts.Sealed = d.Now().UTC()
	pack, err := evidence.Pack{Facts: facts, Text: []byte(text.Text()), Letter: pdf, Signature: picture}.Seal(sealer)
	if err != nil {
		return pending(err)
	}
	letterID, packID := order.LegalLetter(a.ID), order.LegalEvidence(a.ID)
	for id, content := range map[string][]byte{letterID: pdf, packID: pack} {
		if err := d.Objects.Put(ctx, id, content); err != nil {
			return err
		}
	}
	kept, err := d.Orders.KeepLetter(ctx, a.ID, letterID, packID)
	if err != nil || kept {
		return err
	}
	return d.authorization(ctx, at) // made by somebody else meanwhile, or forgotten
}

// pending hides what kind of error the issuer's answer was: whatever it is, the
// letter is still to be made, so the job is tried again.
func pending(err error) error { return fmt.Errorf("sealing: %v", err) } //nolint:errorlint // see above

// proofLines say on paper how it was signed.
func proofLines(a, base order.Authorization, text letter.Authorization) []string {
	if a.ReuseOf != "" {
		return []string{
			fmt.Sprintf("依据：授权回执 %s（%s 签署），授权期至 %s。", base.Proof.Receipt, base.SignedAt.In(order.Shanghai).Format("2006-01-02 15:04"), base.Mandate.Until.In(order.Shanghai).Format(time.DateOnly)),
			"授权书文本 SHA-256：" + text.SHA256(),
		}
	}
	p := a.Proof
	return []string{
		fmt.Sprintf("手机验证：%s，%s，IP %s。", identity.NewMobile(a.Signer.Mobile).Mask(), p.Phone.At.In(order.Shanghai).Format(time.DateTime), p.Phone.IP),
		fmt.Sprintf("身份核验：%s %s。", p.Identity.Result.Label(), p.Identity.ID),
		fmt.Sprintf("签署：短信验证码确认，%s，IP %s。", p.Signed.At.In(order.Shanghai).Format(time.DateTime), p.Signed.IP),
		"授权书文本 SHA-256：" + text.SHA256(),
	}
}

// factsOf is what the evidence pack states; people are masked.
func factsOf(o order.Order, a, base order.Authorization) evidence.Facts {
	p := a.Proof
	f := evidence.Facts{
		Authorization: a.ID, Order: o.No, Receipt: p.Receipt, Company: o.Company, USCC: o.USCC,
		Signer: identity.NewPersonName(a.Signer.Name).Mask(), Agent: o.Form.Masked(order.AgentName), Snapshot: a.Snapshot, Content: a.Content,
		Text: evidence.Text{Version: letter.TextVersion}, MandateUntil: base.Mandate.Until,
	}
	if a.ReuseOf != "" {
		f.Signed = evidence.Step{At: a.SignedAt, Channel: string(order.Internal)}
		f.Reused = &evidence.Reused{Authorization: base.ID, Receipt: base.Proof.Receipt, Signed: base.SignedAt, Until: base.Mandate.Until}
		return f
	}
	for _, m := range p.SMS {
		f.SMS = append(f.SMS, evidence.Message{ID: m.ID, ProviderID: m.ProviderID, At: m.At})
	}
	f.Opened, f.Shown, f.Signed = stepOf(p.Opened), stepOf(p.Shown), stepOf(p.Signed)
	f.Phone = evidence.Phone{Step: stepOf(p.Phone), Mobile: identity.NewMobile(a.Signer.Mobile).Mask()}
	f.Identity = evidence.Identity{Result: string(p.Identity.Result), Provider: p.Identity.Provider, ID: p.Identity.ID, At: p.Identity.At}
	f.Consent = evidence.Consent{Version: p.Consent.Version, SHA256: p.Consent.Hash, At: p.Consent.At, IP: p.Consent.IP}
	return f
}

func stepOf(d order.Device) evidence.Step {
	return evidence.Step{At: d.At, Channel: string(d.Channel), OpenID: d.OpenID, IP: d.IP, Device: d.Agent}
}
