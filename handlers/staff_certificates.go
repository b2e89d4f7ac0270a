package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// certificateRoutes are the issuer's (and the admin's) over certificates that
// are out in the world. They show nothing about a person.
func (k *console) certificateRoutes() {
	k.get("/staff/certificates", OfStaff, k.findCertificates, order.Issuer)
	k.get("/staff/certificates/:serial", OfStaff, k.certificatePage, order.Issuer)
	k.post("/staff/certificates/:serial", OfStaff, k.changeCertificate, order.Issuer)
}

type certificatesView struct {
	Text  string
	Asked bool
	Rows  []certificateRow
	More  bool
}

type certificateRow struct {
	certificate.Certificate
	State string
	Good  bool
}

func (k *console) certificateRow(cert certificate.Certificate) certificateRow {
	return certificateRow{cert, cert.Standing(k.Now()), cert.Good(k.Now())}
}

func (k *console) findCertificates(c *fiber.Ctx) error {
	v := certificatesView{Text: order.PrintedName(c.Query("q"))}
	v.Asked = v.Text != ""
	if v.Asked {
		found, err := k.Records.FindCertificates(c.UserContext(), v.Text, pageSize+1)
		if err != nil {
			return err
		}
		v.More = len(found) > pageSize
		for _, cert := range found[:min(len(found), pageSize)] {
			v.Rows = append(v.Rows, k.certificateRow(cert))
		}
	}
	return k.show(c, "certificates", "证书", v, nil)
}

type certificateView struct {
	certificateRow
	Reason            string
	Freezable, Active bool
	Resumable         bool
	Also              map[string]string // what else ends with it, by event
	Reasons           []choice
	Note              string
	Reminders         remindersView
}

func (k *console) certificatePage(c *fiber.Ctx) error { return k.showCertificate(c, nil) }

func (k *console) showCertificate(c *fiber.Ctx, refusal error) error {
	cert, err := k.Records.Certificate(c.UserContext(), c.Params("serial"))
	if err != nil {
		return err
	}
	allowed := cert.Allowed(order.Issuer, k.Now())
	v := certificateView{
		certificateRow: k.certificateRow(cert),
		Freezable:      slices.Contains(allowed, certificate.Freeze),
		Active:         slices.Contains(allowed, certificate.Revoke),
		Resumable:      slices.Contains(allowed, certificate.Resume),
	}
	onKey, err := k.Records.OnToken(c.UserContext(), cert.TokenSerial)
	if err != nil {
		return err
	}
	v.Also = map[string]string{}
	for _, e := range certificate.Events {
		v.Also[string(e)] = alsoStopped(cert, onKey, e, k.Now())
	}
	if v.Reminders, err = k.remindersView(c, cert); err != nil {
		return err
	}
	if !cert.RevokedAt.IsZero() {
		v.Reason = cert.Reason.Label()
	}
	for _, r := range certificate.ReasonsFor(order.Issuer) {
		v.Reasons = append(v.Reasons, choice{r.Name(), r.Label(), refusal != nil && r.Name() == c.FormValue("reason")})
	}
	if refusal != nil {
		v.Note = c.FormValue("note")
	}
	return k.show(c, "certificate", "证书 "+cert.TokenSerial, v, refusal)
}

// changeCertificate freezes, resumes or revokes for a holder who cannot do so himself, or
// against one who broke the agreement.
func (k *console) changeCertificate(c *fiber.Ctx) error {
	cmd := certificate.Command{On: certificate.Event(c.FormValue("do")), By: actor(c, order.Issuer), Note: strings.TrimSpace(c.FormValue("note"))}
	var err error
	switch {
	case cmd.On == certificate.Revoke && c.FormValue("sure") != "yes":
		err = order.Errorf(order.Invalid, "revocation_unconfirmed", "请勾选确认后再提交")
	case cmd.On == certificate.Revoke:
		var ok bool
		if cmd.Reason, ok = certificate.ReasonNamed(c.FormValue("reason")); !ok {
			err = order.Errorf(order.Invalid, "revocation_reason_unknown", "请选择吊销原因")
		}
	}
	if err == nil {
		_, err = k.Status.Apply(c.UserContext(), c.Params("serial"), cmd)
	}
	if err != nil {
		return k.orNotice(c, err, k.showCertificate)
	}
	return c.Redirect("/staff/certificates/"+c.Params("serial"), http.StatusSeeOther)
}
