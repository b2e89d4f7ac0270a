package order

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ProposalKind is what was proposed about an order's money.
type ProposalKind string

// The proposals.
const (
	ProposeRefund ProposalKind = "refund"  // row 65, for a second person to confirm
	ProposeGiveUp ProposalKind = "give_up" // row 40, for the applicant to agree to
)

// KeysEnd is what becomes of the keys of an order whose money goes back (row 65).
type KeysEnd string

// The ends. A key that never left us needs none.
const (
	KeysWithUs   KeysEnd = ""
	KeysStopped  KeysEnd = "stopped"
	KeysReturned KeysEnd = "returned"
	KeysWaived   KeysEnd = "waived"
)

// KeysEnds are those to choose from once keys have left.
var KeysEnds = []KeysEnd{KeysReturned, KeysStopped, KeysWaived}

var keysEndLabels = map[KeysEnd]string{KeysStopped: "包裹已拦截", KeysReturned: "UKEY 已收回", KeysWaived: "放弃收回（原因见说明）"}

// Label is the end as people read it.
func (k KeysEnd) Label() string { return keysEndLabels[k] }

// Proposal is what one person of staff wants and another has to agree to; an order
// has at most one.
type Proposal struct {
	OrderID ID
	Kind    ProposalKind
	StaffID string // who proposed it
	Keys    int    // give_up: how many
	End     KeysEnd
	Note    string
	At      time.Time
}

// refundConfirmed reports whether somebody else has proposed this very refund.
func refundConfirmed(_ Order, c Command) bool {
	p := c.proposal
	return p != nil && p.Kind == ProposeRefund && c.By.StaffID != "" && c.By.StaffID != p.StaffID
}

// keysSettled reports whether what left the house is accounted for: by the proposal
// that is being made, or by the one that is confirmed.
func keysSettled(o Order, c Command) bool {
	end := c.End
	if c.On == RefundStart && c.proposal != nil {
		end = c.proposal.End
	}
	return !o.Shipped() || o.Status != Completed || slices.Contains(KeysEnds, end)
}

func noneMaking(_ Order, c Command) bool {
	return !slices.ContainsFunc(c.items, func(i Item) bool { return i.Stage == ItemMaking })
}

// giving are the keys that a command gives up: those that failed before those that
// wait, the last first.
func (c Command) giving() []Item {
	var out []Item
	for _, stage := range []ItemStage{ItemFailed, ItemWaiting} {
		for _, i := range slices.Backward(c.items) {
			if i.Stage == stage && len(out) < c.givingUp() {
				out = append(out, i)
			}
		}
	}
	return out
}

// givingUp is how many keys are given up: as finance says, or as was proposed.
func (c Command) givingUp() int {
	if c.By.Role == Applicant && c.proposal != nil && c.proposal.Kind == ProposeGiveUp {
		return c.proposal.Keys
	}
	return c.Keys
}

// keysToGive reports whether so many keys can be given up and one is left (1 ≤ m < n).
func keysToGive(o Order, c Command) bool {
	m := c.givingUp()
	return m >= 1 && m < o.Quantity()-o.GivenUp && len(c.giving()) == m
}

// agreed reports whether the applicant agrees to fewer keys: he says so himself, or
// finance has recorded how he said it.
func agreed(_ Order, c Command) bool {
	if c.By.Role == Applicant {
		return c.proposal != nil && c.proposal.Kind == ProposeGiveUp
	}
	return hasNote(c)
}

// leftToMake are the stages of the keys that stay, without those that are made.
func leftToMake(c Command, stage ...ItemStage) bool {
	gone := c.giving()
	return slices.ContainsFunc(c.items, func(i Item) bool {
		return slices.Contains(stage, i.Stage) && !slices.ContainsFunc(gone, func(g Item) bool { return g.ID == i.ID })
	})
}

func keysLeft(_ Order, c Command) bool   { return leftToMake(c, ItemWaiting, ItemMaking, ItemFailed) }
func failedLeft(_ Order, c Command) bool { return leftToMake(c, ItemFailed) }

// unitPrice is what one key of the order cost.
func (o Order) unitPrice() Fen { return o.Product.Price * Fen(o.Product.Term) }

// Price is what the keys that a proposal gives up cost.
func (p Proposal) Price(o Order) Fen { return o.unitPrice() * Fen(p.Keys) }

// informOfProposal gathers what was proposed, for the events that rest on it.
func (s *Service) informOfProposal(ctx context.Context, tx Tx, o Order, c *Command) error {
	if !slices.Contains([]Event{RefundStart, GiveUpKeys, ProposalDropped}, c.On) {
		return nil
	}
	p, err := tx.Proposal(ctx, o.ID)
	if errors.Is(err, NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c.proposal = &p
	if c.On == RefundStart && c.Note == "" && p.Kind == ProposeRefund {
		c.Note = p.Note
	}
	return nil
}

// settleProposal keeps or forgets what was proposed, as an event does.
func (s *Service) settleProposal(ctx context.Context, tx Tx, o Order, c Command) error {
	p := Proposal{OrderID: o.ID, StaffID: c.By.StaffID, Keys: c.Keys, End: c.End, Note: c.Note, At: c.at}
	switch {
	case c.On == RefundProposed:
		p.Kind, p.Keys = ProposeRefund, 0
	case c.On == GiveUpProposed:
		p.Kind, p.End = ProposeGiveUp, KeysWithUs
	case c.proposal != nil:
		return tx.DropProposal(ctx, o.ID)
	default:
		return nil
	}
	return tx.SaveProposal(ctx, p)
}

// giveUpKeys has keys not be made, and their price go back (row 40).
func (s *Service) giveUpKeys(ctx context.Context, tx Tx, o Order, c Command) error {
	for _, key := range c.giving() {
		was := key.Stage
		key.Stage, key.UpdatedAt = ItemGivenUp, c.at
		if err := tx.UpdateItem(ctx, key, was); err != nil {
			return err
		}
	}
	return s.oweKeys(ctx, tx, o, len(c.giving()), c)
}

// onKeys has something happen to the certificates of keys.
func (s *Service) onKeys(ctx context.Context, tx Tx, o Order, step CertificateStep, keys []Item, c Command) error {
	for _, key := range keys {
		if key.CertSerial == "" {
			continue
		}
		about := o
		about.Certificate = key.CertSerial
		if err := s.certificates.Step(ctx, tx, step, about, c); err != nil {
			return err
		}
	}
	return nil
}
