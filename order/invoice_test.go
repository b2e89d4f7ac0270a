package order

import (
	"slices"
	"testing"
	"time"
)

// invoiceStates lists every state of the table, but that of no invoice.
func invoiceStates() []InvoiceState {
	seen := map[InvoiceState]bool{}
	for _, tr := range invoiceLifecycle {
		seen[tr.From], seen[tr.To] = true, true
	}
	delete(seen, none)
	var out []InvoiceState
	for s := range seen {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// Each state is reached and has a name, only 已红冲 is an end, and no two rows answer.
func TestInvoiceLifecycleIsSound(t *testing.T) {
	reached, leaves := map[InvoiceState]bool{none: true}, map[InvoiceState]bool{}
	for range invoiceLifecycle {
		for _, tr := range invoiceLifecycle {
			if reached[tr.From] {
				reached[tr.To], leaves[tr.From] = true, true
			}
		}
	}
	for _, s := range invoiceStates() {
		if !reached[s] || s.Label() == "" {
			t.Errorf("%s: reached %v, label %q", s, reached[s], s.Label())
		}
		if leaves[s] == (s == InvoiceReversed) {
			t.Errorf("%s: has a way out = %v", s, leaves[s])
		}
	}
	for n, tr := range invoiceLifecycle {
		if len(tr.By) == 0 {
			t.Errorf("row %d: by nobody", n)
		}
		if tr.Order != "" && tr.Order.Label() == "" {
			t.Errorf("row %d: the history has no words for %s", n, tr.Order)
		}
		for _, r := range tr.If {
			if r.refusal == nil || r.refusal.Detail == "" {
				t.Errorf("row %d: a rule without words", n)
			}
		}
		for _, other := range invoiceLifecycle[n+1:] {
			if other.On == tr.On && other.From == tr.From {
				t.Errorf("two rows for %s in %q", tr.On, tr.From)
			}
		}
	}
}

// Who may ask, and when (F48, F50, G7, rows 64 and 65).
func TestWhoMayMoveAnInvoice(t *testing.T) {
	done := Order{Amount: 30000, State: completed, CompletedAt: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)}
	with := func(f func(*Order)) Order {
		o := done
		f(&o)
		return o
	}
	blank := Invoice{Amount: 30000}
	in := func(s InvoiceState) Invoice { return Invoice{State: s, Amount: 30000} }
	for _, tc := range []struct {
		name string
		o    Order
		i    Invoice
		on   InvoiceEvent
		by   Role
		want string // code of the refusal; empty: it happens
	}{
		{"issued by itself when the order is done", done, blank, InvoiceAsked, System, ""},
		{"asked for by the applicant", done, blank, InvoiceAsked, Applicant, ""}, // G7
		{"tried again", done, in(InvoiceFailed), InvoiceAsked, Applicant, ""},    // G7
		{"tried again by finance", done, in(InvoiceFailed), InvoiceAsked, Finance, ""},
		{"never by itself", done, in(InvoiceFailed), InvoiceAsked, System, "role_not_allowed"},
		{"not by a reviewer", done, blank, InvoiceAsked, Reviewer, "role_not_allowed"},
		{"of nothing", done, Invoice{}, InvoiceAsked, Applicant, "nothing_to_invoice"}, // F50
		{"too early", with(func(o *Order) { o.CompletedAt = time.Time{} }), blank, InvoiceAsked, Applicant, "invoice_too_early"},
		{"a returned parcel changes nothing", with(func(o *Order) { o.State = toPost }), blank, InvoiceAsked, Applicant, ""}, // row 49
		{"while money goes back", with(func(o *Order) { o.Refund = Refunding }), blank, InvoiceAsked, Applicant, "invoice_refunded"},
		{"after money went back", with(func(o *Order) { o.State = refunded }), in(InvoiceFailed), InvoiceAsked, Applicant, "invoice_refunded"},
		{"a second one", done, in(InvoiceIssued), InvoiceAsked, Applicant, "invoice_not_ready"},
		{"one on its way", done, in(InvoiceIssuing), InvoiceAsked, Applicant, "invoice_not_ready"},
		{"another title", done, in(InvoiceIssued), InvoiceCorrected, Applicant, ""},
		{"another title, again", done, Invoice{State: InvoiceIssued, Amount: 30000, Corrects: "x"}, InvoiceCorrected, Applicant, "invoice_corrected_once"},
		{"taken back only by the system", done, in(InvoiceIssued), InvoiceTakenBack, Applicant, "role_not_allowed"},
		{"tried again to take back", done, in(InvoiceRedFailed), InvoiceTakenBack, Finance, ""},
		{"nothing happens to a reversed one", done, in(InvoiceReversed), InvoiceMade, System, "invoice_not_ready"},
	} {
		_, err := nextInvoice(tc.o, tc.i, tc.on, tc.by)
		got := ""
		if e, ok := AsError(err); ok {
			got = e.Code
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// Whatever ends an order asks for its invoice (G7); no other row does. An unlock without an
// application costs nothing.
func TestRowsThatIssueAnInvoice(t *testing.T) {
	for _, tr := range lifecycle {
		ends := tr.To == completed && !slices.Contains(tr.From, completed) && !slices.Equal(tr.businesses(), of(UnlockSelf))
		if asks := slices.ContainsFunc(tr.Then, func(f followUp) bool { return f.invoices }); asks != ends {
			t.Errorf("row %d, %s of %v: ends the order %t, asks for the invoice %t", tr.Row, tr.On, tr.businesses(), ends, asks)
		}
	}
}
