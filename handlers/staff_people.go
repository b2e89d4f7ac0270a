package handlers

import (
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

const peoplePath = "/staff/people"

// peopleRoutes are the admin's: who works here and what each may do (F126).
func (k *console) peopleRoutes() {
	k.get(peoplePath, OfStaff, k.people, order.Admin)
	k.post(peoplePath, OfStaff, k.addColleague, order.Admin)
	k.get(peoplePath+"/:id", OfStaff, k.colleague, order.Admin)
	k.post(peoplePath+"/:id", OfStaff, k.changeColleague, order.Admin)
	k.post(peoplePath+"/:id/close", OfStaff, k.setDisabled(true), order.Admin)
	k.post(peoplePath+"/:id/open", OfStaff, k.setDisabled(false), order.Admin)
	k.post(peoplePath+"/:id/totp", OfStaff, k.newSecret, order.Admin)
}

// duties say what a role is for.
var duties = map[order.Role]string{
	order.Reviewer: "审核申请，给留言的用户回电",
	order.Issuer:   "制作 UKEY，管理空白 UKEY，冻结和吊销证书",
	order.Shipper:  "寄出 UKEY，登记自取",
	order.Finance:  "退款、发票和对账",
	order.Admin:    "以上全部，并管理同事的账号",
}

type peopleView struct {
	Rows []colleagueRow
	Next string
	rightsView
	Mobile string
	Open   bool // the form for a new colleague
}

type colleagueRow struct {
	ID, Name, Mobile, Roles string
	Leader, Closed          bool
}

// rightsView is the form of what a member of staff is called and may do.
type rightsView struct {
	Name, Company string
	Leader        bool
	Roles         []roleChoice
}

type roleChoice struct {
	choice
	Duty string
}

func viewOfRights(r order.Rights) rightsView {
	v := rightsView{Name: r.Name, Company: r.Company, Leader: r.Leader}
	for _, role := range order.StaffRoles {
		v.Roles = append(v.Roles, roleChoice{choice{string(role), role.Label(), slices.Contains(r.Roles, role)}, duties[role]})
	}
	return v
}

// typedRights reads the form.
func typedRights(c *fiber.Ctx) order.Rights {
	r := order.Rights{Name: c.FormValue("name"), Company: strings.TrimSpace(c.FormValue("company")), Leader: c.FormValue("leader") != ""}
	for _, role := range formValues(c, "role") {
		r.Roles = append(r.Roles, order.Role(role))
	}
	return r
}

// rightsText are rights in one line.
func rightsText(r order.Rights) string {
	said := []string{r.Name, labelsOf(r.Roles)}
	if r.Leader {
		said = append(said, "组长")
	}
	if r.Company != "" {
		said = append(said, "单位 "+r.Company)
	}
	return strings.Join(said, "，")
}

func labelsOf(roles []order.Role) string {
	var labels []string
	for _, r := range roles {
		labels = append(labels, r.Label())
	}
	return strings.Join(labels, "、")
}

func (k *console) people(c *fiber.Ctx) error { return k.showPeople(c, nil) }

func (k *console) showPeople(c *fiber.Ctx, refusal error) error {
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	page, err := k.Staffing.Page(c.UserContext(), after, pageSize)
	if err != nil {
		return err
	}
	v := peopleView{rightsView: viewOfRights(typedRights(c)), Mobile: c.FormValue("mobile"), Open: refusal != nil}
	for _, m := range page.Colleagues {
		v.Rows = append(v.Rows, colleagueRow{m.ID, m.Name, m.Mobile.Mask(), labelsOf(m.Roles), m.Leader, m.Disabled})
	}
	v.Next = link(peoplePath+"?after=", page.Next)
	return k.show(c, "people", "同事", v, refusal)
}

func (k *console) addColleague(c *fiber.Ctx) error {
	secret, err := NewTOTPSecret()
	if err != nil {
		return err
	}
	r := typedRights(c)
	m, err := k.Staffing.Add(c.UserContext(), actor(c, order.Admin), order.NewMember{Name: r.Name, Mobile: c.FormValue("mobile"), Roles: r.Roles, Company: r.Company, Leader: r.Leader, TOTPSecret: secret})
	if err != nil {
		return k.orNotice(c, err, k.showPeople)
	}
	return k.showSecret(c, m)
}

type colleagueView struct {
	ID string
	rightsView
	Closed bool
	Self   bool // may not close himself
	Seen   string
	Now    string // the rights that somebody else has given since
}

func (k *console) colleague(c *fiber.Ctx) error { return k.showColleague(c, nil) }

func (k *console) showColleague(c *fiber.Ctx, refusal error) error {
	m, err := k.Records.Staff(c.UserContext(), c.Params("id"))
	if err != nil {
		return err
	}
	v := colleagueView{ID: m.ID, rightsView: viewOfRights(m.Rights()), Closed: m.Disabled, Self: m.ID == staffOf(c).ID, Seen: m.Rights().Mark()}
	if refusal != nil && c.FormValue("name") != "" {
		v.rightsView = viewOfRights(typedRights(c))
	}
	if e, ok := order.AsError(refusal); ok && e.Code == order.RightsChanged.Code {
		v.Now = rightsText(m.Rights())
	}
	return k.show(c, "colleague", m.Name, v, refusal)
}

func (k *console) changeColleague(c *fiber.Ctx) error {
	return k.changed(c, func(by order.Actor, id string) (order.Staff, error) {
		return k.Staffing.Change(c.UserContext(), by, id, c.FormValue("seen"), typedRights(c))
	})
}

// setDisabled closes an account, or opens a closed one again.
func (k *console) setDisabled(disabled bool) fiber.Handler {
	return func(c *fiber.Ctx) error {
		return k.changed(c, func(by order.Actor, id string) (order.Staff, error) {
			return k.Staffing.SetDisabled(c.UserContext(), by, id, disabled)
		})
	}
}

// changed shows the list again once the account of the path is changed.
func (k *console) changed(c *fiber.Ctx, change func(by order.Actor, id string) (order.Staff, error)) error {
	if _, err := change(actor(c, order.Admin), c.Params("id")); err != nil {
		return k.orNotice(c, err, k.showColleague)
	}
	return c.Redirect(peoplePath, http.StatusSeeOther)
}

// newSecret is for a colleague whose telephone is lost or new.
func (k *console) newSecret(c *fiber.Ctx) error {
	secret, err := NewTOTPSecret()
	if err != nil {
		return err
	}
	m, err := k.Staffing.SetTOTP(c.UserContext(), actor(c, order.Admin), c.Params("id"), secret)
	if err != nil {
		return k.orNotice(c, err, k.showColleague)
	}
	return k.showSecret(c, m)
}

// secretView is a TOTP secret, shown once.
type secretView struct {
	Name, Secret string
	QR           template.URL
}

func (k *console) showSecret(c *fiber.Ctx, m order.Staff) error {
	qr, err := qrImage(TOTPURI(m.Name, m.TOTPSecret))
	if err != nil {
		return err
	}
	return k.show(c, "secret", "动态口令", secretView{m.Name, m.TOTPSecret, qr}, nil)
}
