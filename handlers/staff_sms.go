package handlers

import (
	"cmp"
	"maps"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

const smsPath = "/staff/sms"

// smsRoutes are the admin's: the numbers under which the SMS provider has approved our
// texts (F126). The words are what was approved, and part of the product.
func (k *console) smsRoutes() {
	k.get(smsPath, OfStaff, k.smsTemplates, order.Admin)
	k.post(smsPath, OfStaff, k.setSMSTemplates, order.Admin)
}

type smsView struct {
	Version int
	Missing int
	Fields  []settingField
	Changes []settingChange
}

func (k *console) smsTemplates(c *fiber.Ctx) error { return k.showSMSTemplates(c, nil) }

func (k *console) showSMSTemplates(c *fiber.Ctx, refusal error) error {
	v := smsView{Version: k.Settings.Version(order.SMSTemplatesSetting)}
	words := notice.SMSTemplates()
	for _, name := range slices.Sorted(maps.Keys(words)) {
		f := settingField{Name: name, Label: cmp.Or(order.Notices[order.Notice(name)].Label, "验证码"), Hint: words[name], Input: "number", Value: k.Settings.SMSTemplate(name)}
		if f.Value == "" {
			v.Missing++
		}
		v.Fields = append(v.Fields, f)
	}
	v.Fields = refilled(c, v.Fields, refusal)
	var err error
	if v.Changes, err = k.changesOf(c, order.SMSTemplatesSetting); err != nil {
		return err
	}
	return k.show(c, "sms", "短信模板", v, refusal)
}

func (k *console) setSMSTemplates(c *fiber.Ctx) error {
	numbers := map[string]string{}
	for name := range notice.SMSTemplates() {
		numbers[name] = trimmed(c, name)
	}
	return k.settingDone(c, k.Settings.SetSMSTemplates(c.UserContext(), actor(c, order.Admin), seenVersion(c), numbers), smsPath, k.showSMSTemplates)
}
