package bot

import (
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

func TestDeliveryReports(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-a", applicant)
	c.insert(anOrder(p, 1, order.InReview, order.Queued))
	send := func(id, provider string, notice order.Notice) {
		c.must(c.db.InTx(t.Context(), func(tx order.Tx) error {
			_, err := tx.InsertNotification(t.Context(), order.Notification{
				ID: id, OrderID: "01JORDER01", Seq: 1, Notice: notice, Medium: order.WeChat, To: order.Notices[notice].To,
				State: order.DeliverySent, ProviderID: provider, CreatedAt: c.clock.Now(), UpdatedAt: c.clock.Now(),
			})
			return err
		}))
	}
	send("n1", "101", order.NoticeApprovedIssue)
	send("n2", "102", order.NoticeRejected)
	send("n3", "103", order.NoticeReviewTask)
	report := func(job int64, status string) {
		_, err := c.dialogue.Answer(t.Context(), Message{OpenID: "o-a", Type: EventMessage, Event: EventTemplateJobDone, JobID: job, JobStatus: status})
		c.must(err)
	}
	report(101, "success")
	report(102, "failed:user block")
	report(103, "failed: system failed")
	report(103, "failed: system failed") // WeChat says it twice
	report(999, "success")               // of somebody else
	for id, want := range map[string]order.DeliveryState{"n1": order.DeliveryDelivered, "n2": order.DeliveryUnreachable, "n3": order.DeliveryUnreachable} {
		n, err := c.db.Notification(t.Context(), id)
		c.must(err)
		if n.State != want {
			t.Errorf("%s is %s, want %s", id, n.State, want)
		}
	}
	if got := strings.Join(c.fellBack, " "); got != "n3" { // the others go out as SMS anyway
		t.Errorf("fell back: %q", got)
	}
}
