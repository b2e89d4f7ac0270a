package faults

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/pay"
	"github.com/yuncaidun/yuncaidun/store"
)

// The people of the tests are invented; the ID number is the design's test vector.
// Whatever of this is personal must never be found in clear text anywhere.
const (
	company    = "云岭测试科技（昆明）有限公司" // public
	agent      = "王小琪"
	mobile     = "17700007069"
	idNumber   = "110101199003070011"
	email      = "jinsique.7069@example.com"
	legal      = "欧阳金丝雀"
	recipient  = "司马收件"
	shipMobile = "13977712345"
	address    = "金丝雀巷 70 号 9 栋"
)

// canaries are the personal values in every form they could leak in.
var canaries = []string{
	mobile, "177 0000 7069", "177-0000-7069", "+86" + mobile, idNumber, email, "jinsique.7069", legal, recipient, shipMobile, address, "金丝雀巷", agent,
}

const browser = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"

func form() order.Form {
	return order.NewForm(map[order.Field]string{
		order.AgentName: agent, order.AgentMobile: "177 0000 7069", order.AgentEmail: email, order.IDType: "resident_id", order.IDNo: idNumber,
		order.IDFront: "01FRONT", order.IDBack: "01BACK", order.LicenseImage: "01LICENSE", order.OrgName: company, order.OrgType: "enterprise",
		order.OrgUSCC: "91110108ma00ten18f", order.OrgIndustry: "I", order.AuthWay: order.AuthPaper, order.LegalName: legal, order.LetterImage: "01LETTER",
		order.ShipWay: order.ShipCourier, order.ShipName: recipient, order.ShipMobile: shipMobile, order.ShipProvince: "云南省", order.ShipCity: "昆明市",
		order.ShipDistrict: "五华区", order.ShipAddress: address, order.InvoiceWant: order.Yes,
	})
}

// secrets are what a process of the product needs besides its database.
type secrets struct {
	piiKey, piiIndexKey, keyset []byte
	merchant                    pay.WeChatConfig
}

// developmentSecrets reads what a development start made.
func developmentSecrets(t *testing.T, dir, url string) secrets {
	t.Helper()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	platform, err := parsePrivateKey(read("secrets/playground_wechatpay_key"))
	if err != nil {
		t.Fatal(err)
	}
	return secrets{
		piiKey: unbase64(t, read("secrets/pii_key")), piiIndexKey: unbase64(t, read("secrets/pii_index_key")), keyset: readFile(t, filepath.Join(dir, "pii-keyset.json")),
		merchant: pay.WeChatConfig{
			AppID: "wx00000000000000a1", MchID: "1900000000", CertSerial: "00000000000000000000000000000000000000A1", PrivateKey: read("secrets/wechatpay_private_key"),
			PublicKeyID: "PUB_KEY_ID_0119000000002026010100000000000000", PublicKey: publicPEM(t, platform), APIv3Key: read("secrets/wechatpay_api_v3_key"),
			NotifyURL: url + "/callbacks/wechatpay", BaseURL: url + "/playground/api.mch.weixin.qq.com",
		},
	}
}

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// office is where the people work: a further process on the same data.
type office struct {
	*order.Service
	db    *store.DB
	dsn   string
	world world
	staff map[order.Role]order.Actor
}

func openOffice(t *testing.T, dsn string, s secrets, w world) *office {
	t.Helper()
	sealer, err := store.NewSealer(s.keyset, s.piiKey, s.piiIndexKey)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dsn, sealer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	gateway, err := pay.NewWeChat(s.merchant)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	if err != nil {
		t.Fatal(err)
	}
	calendar, err := order.DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	f := &office{db: db, dsn: dsn, world: w, staff: map[order.Role]order.Actor{}}
	f.Service = order.NewService(order.Deps{Store: db, Gateways: map[order.PayChannel]order.PaymentGateway{order.WeChatPay: gateway}, Calendar: calendar, Catalogue: func() order.Catalogue { return catalogue }, Now: time.Now, NewID: newID})
	for _, r := range []order.Role{order.Reviewer, order.Issuer, order.Shipper} {
		all, err := db.StaffWithRole(t.Context(), r)
		if err != nil || len(all) == 0 {
			t.Fatalf("nobody is %s: %v", r, err)
		}
		f.staff[r] = all[0].Actor(r, order.Web, "127.0.0.1")
	}
	return f
}

func newID() string { return ulid.MustNew(ulid.Timestamp(time.Now()), rand.Reader).String() }

// place fills in and confirms an order of n keys, which is then to be paid.
func (f *office) place(ctx context.Context, n int) (order.ID, error) {
	by := order.Actor{Role: order.Applicant, Channel: order.Web, IP: "127.0.0.1"}
	o, err := f.Apply(ctx, "", order.Command{On: order.Save, By: by, DraftToken: browser, Product: "yd-initial", Lines: []order.Line{{Quantity: n}}, Form: form()})
	if err != nil {
		return "", err
	}
	_, err = f.Apply(ctx, o.ID, order.Command{
		On: order.Confirm, By: by, DraftToken: browser, Snapshot: o.Hash(), Proven: []order.Fact{order.MobileProven},
		Consent: order.Consent{Version: "2026-11", Hash: "h", At: time.Now(), IP: "127.0.0.1"},
	})
	return o.ID, err
}

func (f *office) mustPlace(t *testing.T, n int) order.ID {
	t.Helper()
	id, err := f.place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// errNotYet says that nobody has to do anything for an order just now.
var errNotYet = errors.New("the product is at work")

// work does what a person has to do next for an order, until it has reached the
// status; anything else it returns is a reason to come back.
func (f *office) work(ctx context.Context, id order.ID, until order.Status) error {
	o, err := f.db.Order(ctx, id)
	if err != nil || o.Status == until {
		return err
	}
	switch o.State {
	case order.State{Status: order.AwaitingPayment}:
		p, err := f.OpenPayment(ctx, id, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, order.WeChatPay)
		if err != nil {
			return err
		}
		if err := f.world.pay(p.CodeURL); err != nil {
			return err // paid already, for instance: the product will hear of it
		}
	case order.State{Status: order.InReview, Stage: order.Queued}:
		if o.RealName != order.RealNameMatch {
			break
		}
		o, err = f.Apply(ctx, id, order.Command{On: order.Claim, By: f.staff[order.Reviewer]})
	case order.State{Status: order.InReview, Stage: order.Claimed}:
		o, err = f.Apply(ctx, id, order.Command{On: order.Approve, By: f.staff[order.Reviewer], Snapshot: o.Snapshot, Ticks: order.Ticks})
	case order.State{Status: order.ToShip, Stage: order.ToPost}:
		o, err = f.Apply(ctx, id, order.Command{On: order.Ship, By: f.staff[order.Shipper], Carrier: "sf", TrackingNo: "SF1234567890123"})
	case order.State{Status: order.ToIssue, Stage: order.MakingFailed}:
		return stop{errors.New("a key was given up")}
	}
	if err == nil && o.Status == until { // the product may be on its way further already
		return nil
	}
	return errors.Join(err, errNotYet)
}

// workUntil works on orders until all have reached the status.
func (f *office) workUntil(t *testing.T, atMost time.Duration, status order.Status, ids ...order.ID) {
	t.Helper()
	eventually(t, atMost, "orders reaching "+string(status), func() error {
		var faults []error
		for _, id := range ids {
			if err := f.work(t.Context(), id, status); err != nil {
				faults = append(faults, err)
			}
		}
		return errors.Join(faults...)
	})
}
