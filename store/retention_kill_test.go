package store

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/riverqueue/river"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// What the child of the kill harness does about retention: the sweep, and the jobs
// that it leaves, which erase pictures (files in a folder) before they erase rows.
const (
	modeRetain   = "retain"   // until killed
	modeRetained = "retained" // until nothing is left, then end
	killObjects  = "STORE_KILL_OBJECTS"
)

// Reliability 6: kill -9 while personal data is erased. Of an order either all has
// gone or all is there, a row is never without the pictures that it names as kept,
// and the next run finishes: each order is erased once, each person forgotten.
func TestKilledWhileErasing(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			objects := t.TempDir()
			t.Setenv(killObjects, objects)
			dsn := freshDSN(t, name)
			db := killDB(t, dsn)
			const kills, each = 12, 25
			cut := 0
			for n := range kills {
				for i := range each {
					overdue(t, db, objects, n*each+i)
				}
				runAndKill(t, dsn, modeRetain)
				if left := halfErased(t, db, objects); left.half != 0 {
					t.Fatalf("after kill %d: %+v", n, left)
				} else if left.whole > 0 {
					cut++
				}
			}
			if cut == 0 {
				t.Error("no kill cut anything short: the harness did not bite")
			}
			if err := child(t, dsn, modeRetained).Run(); err != nil {
				t.Fatal(err)
			}
			left := halfErased(t, db, objects)
			if left != (erasing{audited: kills * each}) {
				t.Errorf("in the end: %+v", left)
			}
			if err := db.VerifyAudit(t.Context(), nil); err != nil {
				t.Error(err)
			}
			// The negative control: something that was forgotten is seen.
			if _, err := db.write.Exec(`UPDATE notifications SET told = '138****0000' WHERE id = (SELECT min(id) FROM notifications)`); err != nil {
				t.Fatal(err)
			}
			if left := halfErased(t, db, objects); left.half != 1 {
				t.Errorf("half an order is not seen: %+v", left)
			}
		})
	}
}

// overdue is an order whose time has passed, with all that is personal about it.
func overdue(t *testing.T, db *DB, objects string, n int) {
	t.Helper()
	id := ulid.Make().String()
	inTx(t, db, func(tx order.Tx) error {
		ctx, at := t.Context(), t0.Truncate(time.Millisecond)
		p, err := tx.PersonByMobile(ctx, order.Person{ID: "p" + id, Mobile: identity.NewMobile(fmt.Sprintf("138%08d", n)), CreatedAt: at})
		if err != nil {
			return err
		}
		o := draft(order.ID(id))
		o.PersonID, o.DraftToken, o.State = p.ID, "", order.State{Status: order.Completed}
		errs := []error{
			tx.InsertOrder(ctx, o),
			tx.LinkWeChat(ctx, order.WeChatIdentity{AppID: "wx1", OpenID: "openid" + id, PersonID: p.ID, UpdatedAt: at}),
		}
		for _, object := range []string{id + ".front", id + ".letter"} {
			errs = append(errs, tx.InsertUpload(ctx, o.ID, object, "", at), os.WriteFile(filepath.Join(objects, object), []byte("picture"), 0o600))
		}
		_, err = tx.InsertNotification(ctx, order.Notification{
			ID: "n" + id, OrderID: o.ID, Seq: 1, Notice: order.NoticeShipped, Medium: order.SMS, To: order.ToAgent, State: order.DeliverySent, Told: "138****0000", CreatedAt: at, UpdatedAt: at,
		})
		return errors.Join(append(errs, err)...)
	})
}

// erasing counts how far it has come.
type erasing struct {
	whole int // orders of which all is there, or only pictures have gone yet
	half  int // orders and people of which something is left that should not be
	// audited are the lines that an order was erased.
	audited int
	files   int
	people  int // not forgotten yet
}

func halfErased(t *testing.T, db *DB, objects string) (e erasing) {
	t.Helper()
	const kept = `(o.keep_until IS NOT NULL)`
	for _, q := range []struct {
		to   *int
		stmt string
	}{
		{&e.whole, `SELECT count(*) FROM orders o WHERE ` + kept},
		{&e.half, `SELECT count(*) FROM orders o WHERE ` + kept + ` <> (o.sealed_form IS NOT NULL)
			OR ` + kept + ` <> EXISTS (SELECT 1 FROM notifications n WHERE n.order_id = o.id AND n.told <> '')
			OR (SELECT count(*) FROM uploads u WHERE u.order_id = o.id) <> CASE WHEN ` + kept + ` THEN 2 ELSE 0 END
			OR (SELECT count(*) FROM audit a WHERE a.order_id = o.id AND a.action = 'erase') <> CASE WHEN ` + kept + ` THEN 0 ELSE 1 END`},
		{&e.audited, `SELECT count(*) FROM audit WHERE action = 'erase' AND order_id <> ''`},
		{&e.people, `SELECT count(*) FROM people WHERE keep_until IS NOT NULL`},
	} {
		if err := db.get(t.Context(), q.to, q.stmt); err != nil {
			t.Fatalf("%s: %v", q.stmt, err)
		}
	}
	var people int
	err := db.get(t.Context(), &people, `SELECT count(*) FROM people p
		WHERE (p.keep_until IS NOT NULL) <> (p.mobile_index NOT LIKE 'erased:%') OR (p.keep_until IS NOT NULL) <> EXISTS (SELECT 1 FROM wechat_identities w WHERE w.person_id = p.id)`)
	if err != nil {
		t.Fatal(err)
	}
	e.half += people
	files, err := os.ReadDir(objects)
	if err != nil {
		t.Fatal(err)
	}
	e.files = len(files)
	var erased []string
	if err := db.all(t.Context(), &erased, `SELECT id FROM orders WHERE keep_until IS NULL`); err != nil {
		t.Fatal(err)
	}
	for _, id := range erased { // a row has gone: its pictures had gone before
		for _, f := range files {
			if strings.HasPrefix(f.Name(), id) {
				e.half++
			}
		}
	}
	return e
}

// retainUntilKilled is the child: it sweeps and works the jobs, years later.
func retainUntilKilled(ctx context.Context, db *DB, toTheEnd bool) error {
	now := t0.AddDate(6, 0, 0)
	s := order.NewService(order.Deps{Store: db, Catalogue: func() order.Catalogue { return order.Catalogue{} }, Now: func() time.Time { return now }, NewID: func() string { return ulid.Make().String() }})
	workers := river.NewWorkers()
	river.AddWorkerArgs(workers, JobArgs{JobKind: string(order.JobPurge)}, river.WorkFunc(func(ctx context.Context, j *river.Job[JobArgs]) error {
		id := order.ID(j.Args.Ref)
		objects, ok, err := s.Purgeable(ctx, id)
		if err != nil || !ok {
			return err
		}
		for _, object := range objects {
			if err := os.Remove(filepath.Join(os.Getenv(killObjects), object)); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		defer fmt.Println("erased")
		return s.Purge(ctx, id)
	}))
	jobs, err := db.Jobs(workers, JobsConfig{ClientID: "kill-child"})
	if err != nil {
		return err
	}
	if err := jobs.Start(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := s.Retain(ctx); err != nil {
			log.Print(err)
		}
		if !toTheEnd {
			fmt.Println("swept")
			continue
		}
		if err := db.awaitIdle(ctx); err != nil {
			return err
		}
		var left int
		if err := db.get(ctx, &left, `SELECT (SELECT count(*) FROM orders WHERE keep_until IS NOT NULL) + (SELECT count(*) FROM people WHERE keep_until IS NOT NULL)`); err != nil || left == 0 {
			return err
		}
		now = now.Add(order.FirstLook + time.Hour) // whoever was needed yet is looked at again
	}
	return ctx.Err()
}
