package store

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

//go:embed testdata/migrate/0004.sql
var officeOf4 string

// oldOffice is a database as version 4 of the schema left it, filled, and migrated
// to the newest.
func oldOffice(t *testing.T, dialect string) *DB {
	t.Helper()
	dsn := "sqlite:" + t.TempDir() + "/old.db"
	if dialect == "postgres" {
		dsn = storetest.EmptyPostgres(t)
	}
	db, err := Open(t.Context(), dsn, testSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	provider, err := db.migrator()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	blob := func(b []byte) string {
		if dialect == "postgres" {
			return `'\x` + hex.EncodeToString(b) + `'`
		}
		return `X'` + hex.EncodeToString(b) + `'`
	}
	fill := template.Must(template.New("").Funcs(template.FuncMap{
		"blob":  func(h string) (string, error) { b, err := hex.DecodeString(h); return blob(b), err },
		"index": db.seal.index,
		"seal": func(table, column, row, value string) (string, error) {
			b, err := db.seal.sealBytes([]byte(value), cell{table, column, row})
			return blob(b), err
		},
	}).Parse(officeOf4))
	if err := fill.Execute(&rows, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := db.write.ExecContext(t.Context(), rows.String()); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// Migrations keep what an office has: each line is something that the newest program
// reads from what an old one has written.
func TestMigrateFilledDatabase(t *testing.T) {
	const good, revoked = "4100000000000000000000000000000000000001", "4100000000000000000000000000000000000002"
	show := func(v any, err error) string {
		if err != nil {
			return "error: " + err.Error()
		}
		return fmt.Sprint(v)
	}
	for _, dialect := range []string{"sqlite", "postgres"} {
		t.Run(dialect, func(t *testing.T) {
			db, ctx := oldOffice(t, dialect), t.Context()
			ledger := NewLedger(db)
			count := func(query string) string {
				var n int
				err := db.get(ctx, &n, query)
				return show(n, err)
			}
			o, err := db.Order(ctx, "o1")
			if err != nil {
				t.Fatal(err)
			}
			draft, err := db.Order(ctx, "o2")
			if err != nil {
				t.Fatal(err)
			}
			person, err := db.Person(ctx, "p1")
			if err != nil {
				t.Fatal(err)
			}
			var found order.Person
			inTx(t, db, func(tx order.Tx) (err error) {
				found, err = tx.PersonByMobile(ctx, order.Person{ID: "new", Mobile: identity.NewMobile("13800138000"), CreatedAt: o.CreatedAt})
				return err
			})
			for _, check := range []struct {
				what, got, want string
			}{
				{"the order's state", show(o.State, nil), "completed"},
				{"the order's form, sealed", o.Form.Get(order.AgentName), "王小琪"},
				{"the order's product", o.Product.Code + " " + show(o.Quantity(), nil) + " " + show(int64(o.Amount), nil), "yd-initial 2 60000"},
				{"that it was posted", string(o.Parcel), string(order.ParcelPosted)},
				{"a draft is its browser's", draft.DraftToken, "browser-2"},
				{"a person's mobile, sealed", person.Mobile.Reveal(), "13800138000"},
				{"a person is found by his mobile", found.ID, "p1"},
				{"by his WeChat", show(func() (any, error) { p, err := db.PersonByWeChat(ctx, "wx1", "openid-1"); return p.ID, err }()), "p1"},
				{"a member of staff", show(func() (any, error) { s, err := db.Staff(ctx, "s1"); return s.Name + fmt.Sprint(s.Roles, s.Leader), err }()), "李审核[reviewer] false"},
				{"items with their certificates", show(func() (any, error) {
					items, err := db.Items(ctx, "o1")
					return slices.Collect(func(yield func(string) bool) {
						for _, it := range items {
							yield(it.CertSerial[39:] + it.TokenSerial[15:])
						}
					}), err
				}()), "[18 29]"},
				{"the history", show(func() (any, error) { es, err := db.Events(ctx, "o1"); return len(es), err }()), "2"},
				{"the approval", show(func() (any, error) { as, err := db.Approvals(ctx, "o1"); return len(as), err }()), "1"},
				{"the payment", show(func() (any, error) {
					p, err := db.Payment(ctx, "T1")
					return fmt.Sprint(p.State, " ", p.Channel, " ", p.Way, " ", p.Amount, " ", p.Returned), err
				}()), "paid wechatpay qr 60000 0"},
				{"the ledger", show(func() (any, error) { ls, err := db.Ledger(ctx, "o1"); return len(ls), err }()), "1"},
				{"the parcel", show(func() (any, error) {
					ps, err := db.Shipments(ctx, "o1")
					return fmt.Sprint(len(ps), ps[0].TrackingNo, ps[0].State), err
				}()), "1SF1234567890123posted"},
				{"the messages", show(func() (any, error) { ns, err := db.Notifications(ctx, "o1"); return len(ns), err }()), "2"},
				{"the attempts at one", show(func() (any, error) { as, err := db.Attempts(ctx, "n1"); return len(as), err }()), "1"},
				{"the way of a WeChat message", show(func() (any, error) { n, err := db.Notification(ctx, "n2"); return n.Way, err }()), "template"},
				{"the timer", show(func() (any, error) {
					ts, err := db.DueTimers(ctx, o.CreatedAt.AddDate(0, 1, 0), 9)
					return len(ts), err
				}()), "1"},
				{"the certificate", show(func() (any, error) {
					c, err := db.Certificate(ctx, good)
					return fmt.Sprint(c.State(), " ", c.Holder, " ", c.PersonID, " ", c.TokenSerial), err
				}()), "valid 云岭公司 p1 TW11782207000008"},
				{"the revoked one", show(func() (any, error) { c, err := db.Certificate(ctx, revoked); return c.State(), err }()), "revoked"},
				{"its DER", show(func() (any, error) { is, err := db.CertificateBySerial(ctx, good); return is.Certificate, err }()), "[5]"},
				{"an issue that failed", show(func() (any, error) {
					is, err := ledger.Issue(ctx, "i9-1")
					return fmt.Sprint(is.Stage, is.Failure), err
				}()), string(issuance.StageFailed) + "token_dead"},
				{"the USBKEY", show(func() (any, error) { tok, err := ledger.Token(ctx, "TW11782207000008"); return tok.IssueID, err }()), "i1-1"},
				{"SO PINs as they were made", show(func() (any, error) {
					sealed, rev, err := ledger.SOPINs(ctx, "TW11782207000008")
					return fmt.Sprint(len(sealed), " ", rev), err
				}()), "0 0"},
				{"the next number of a USBKEY", show(ledger.NextTokenNumber(ctx)), "9"},
				{"the number of the list", count(`SELECT number FROM crls WHERE issuer = 'ycd-issuing-p256'`), "3"},
				{"an OCSP answer", count(`SELECT count(*) FROM ocsp_responses`), "1"},
				{"a ticket", show(func() (any, error) { tk, err := db.Ticket(ctx, "t1"); return tk.State, err }()), "done"},
				{"certificates are looked at for a reminder", show(func() (any, error) { ss, err := db.DueReminders(ctx, o.CreatedAt, 9); return len(ss), err }()), "2"},
				{"orders are looked at for their time", show(func() (any, error) { ids, err := db.DueKept(ctx, o.CreatedAt, 9); return len(ids), err }()), "2"},
			} {
				if check.got != check.want {
					t.Errorf("%s: %q, want %q", check.what, check.got, check.want)
				}
			}
		})
	}
}
