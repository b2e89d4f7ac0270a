package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	ics "github.com/arran4/golang-ical"
	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// Of the calendar's file.
const (
	calendarType = "text/calendar; charset=utf-8"
	calendarFile = `attachment; filename="certificates.ics"`
)

// aWeekBefore is nine in the morning of the day a week before the last one: an event of
// whole days ends at the midnight behind it (RFC 5545 §3.6.1).
const aWeekBefore = "-P7DT15H"

// sendCalendar is what 加到日历 downloads.
func (s *Server) sendCalendar(c *fiber.Ctx) error {
	file, err := s.calendarOf(c.UserContext(), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, calendarType)
	c.Set(fiber.HeaderContentDisposition, calendarFile)
	c.Set(fiber.HeaderCacheControl, "private, no-store")
	return c.Send(file)
}

type calendarOutput struct {
	Type string `header:"Content-Type"`
	Name string `header:"Content-Disposition"`
	Body []byte
}

func (s *Server) apiCalendar(ctx context.Context, _ *nothing) (*calendarOutput, error) {
	file, err := s.calendarOf(ctx, callOf(ctx).v.PersonID())
	return &calendarOutput{calendarType, calendarFile, file}, err
}

// calendarOf is the calendar of the certificates that a person holds.
func (s *Server) calendarOf(ctx context.Context, person string) ([]byte, error) {
	certs, err := s.Status.HeldBy(ctx, person)
	if err != nil {
		return nil, err
	}
	certs = slices.DeleteFunc(certs, func(cert certificate.Certificate) bool { return !s.inUse(cert) })
	foreign, err := s.Status.ForeignOf(ctx, person)
	if err != nil {
		return nil, err
	}
	foreign = slices.DeleteFunc(foreign, func(f certificate.Foreign) bool { return !s.stillGood(f) })
	if len(certs)+len(foreign) == 0 {
		return nil, order.Errorf(order.NotFound, "calendar_empty", "没有有效期内的证书，没有可以加到日历的日期")
	}
	ahead, err := s.Status.OpeningsOf(ctx, person)
	return []byte(s.calendar(certs, ahead, foreign)), err
}

// inUse reports whether the end of a certificate still matters to its holder.
func (s *Server) inUse(cert certificate.Certificate) bool {
	return cert.State() == certificate.Valid && cert.SupersededBy == "" && !cert.Expired(s.Now())
}

// stillGood is the same of a USBKEY of another CA.
func (s *Server) stillGood(f certificate.Foreign) bool { return !s.Now().After(f.NotAfter) }

// calendar is an iCalendar file (RFC 5545): for each certificate the days from the first
// on which it can be renewed (F65) to its last, when bids are opened, and the last days of
// what other CAs issued. It names a company and how people call the USBKEY, and no person.
func (s *Server) calendar(certs []certificate.Certificate, ahead []certificate.Opening, foreign []certificate.Foreign) string {
	cal := ics.NewCalendar()
	cal.SetProductId("-//yuncaidun//certificates//ZH")
	cal.SetMethod(ics.MethodPublish)
	add := func(name string) *ics.VEvent {
		id := sha256.Sum256([]byte(name)) // the same event whenever it is downloaded
		e := cal.AddEvent(hex.EncodeToString(id[:16]) + "@" + s.PublicURL.Hostname())
		e.SetDtStampTime(s.Now())
		return e
	}
	for _, cert := range certs {
		summary := "数字证书更新：" + cert.Holder
		if tail := cert.KeyTail(); tail != "" {
			summary += "（UKEY 尾号 " + tail + "）"
		}
		e := add(cert.Serial)
		e.SetAllDayStartAt(cert.RenewableFrom().In(order.Shanghai))
		e.SetAllDayEndAt(cert.NotAfter.In(order.Shanghai).AddDate(0, 0, 1))
		e.SetSummary(summary)
		e.SetDescription(day(cert.RenewableFrom()) + " 起可以更新，有效期至 " + day(cert.NotAfter) + "。请登录云采盾，打开「我的证书」，点「更新」。")
		e.SetURL(s.absolute("/certificates"))
		e.SetTimeTransparency(ics.TransparencyTransparent) // nobody is busy for a month
		alarm := e.AddAlarm()
		alarm.SetAction(ics.ActionDisplay)
		alarm.SetDescription(summary)
		alarm.SetTrigger(aWeekBefore, &ics.KeyValues{Key: string(ics.ParameterRelated), Value: []string{"END"}})
		for _, o := range ahead {
			if o.Serial != cert.Serial {
				continue
			}
			e := add(o.ID)
			e.SetStartAt(o.At)
			e.SetEndAt(o.At.Add(time.Hour))
			e.SetSummary("开标：" + o.Project)
			e.SetDescription("请带上 UKEY（尾号 " + cert.KeyTail() + "）。前一天请插上试登录一次招标平台。")
			e.SetURL(s.absolute("/certificates/" + cert.Serial + "/openings"))
			alarm := e.AddAlarm()
			alarm.SetAction(ics.ActionDisplay)
			alarm.SetDescription("明天开标，请试用 UKEY")
			alarm.SetTrigger("-P1D")
		}
	}
	for _, f := range foreign {
		e := add(f.ID)
		e.SetAllDayStartAt(f.NotAfter.In(order.Shanghai))
		e.SetAllDayEndAt(f.NotAfter.In(order.Shanghai).AddDate(0, 0, 1))
		e.SetSummary("证书到期：" + f.Label)
		e.SetDescription(f.Issuer + " 的证书今天到期，请向原发证机构申请更新。")
		e.SetURL(s.absolute("/certificates"))
		e.SetTimeTransparency(ics.TransparencyTransparent)
		alarm := e.AddAlarm()
		alarm.SetAction(ics.ActionDisplay)
		alarm.SetDescription("一周后到期：" + f.Label)
		alarm.SetTrigger(aWeekBefore, &ics.KeyValues{Key: string(ics.ParameterRelated), Value: []string{"END"}})
	}
	return cal.Serialize(ics.WithNewLineWindows)
}
