package order

import (
	"context"
	"slices"
	"time"
)

// ItemStage is where one key of an order stands.
type ItemStage string

// The stages of an item.
const (
	ItemWaiting  ItemStage = "waiting"
	ItemMaking   ItemStage = "making"
	ItemVerified ItemStage = "verified"
	ItemFailed   ItemStage = "failed"
	ItemGivenUp  ItemStage = "given_up"
	ItemLost     ItemStage = "lost" // on the way, or damaged there
)

var itemStageLabels = map[ItemStage]string{ItemWaiting: "待制作", ItemMaking: "制作中", ItemVerified: "已完成", ItemFailed: "制作失败", ItemGivenUp: "已取消", ItemLost: "运输中丢失或损坏"}

// Label is the item stage as people read it.
func (s ItemStage) Label() string { return itemStageLabels[s] }

// Item is one key of an order: one issue job, one USBKEY, at most one live
// certificate serial (lifecycle.md, Quantity).
type Item struct {
	ID          string
	OrderID     ID
	N           int // 1…quantity
	Seal        Seal
	Stage       ItemStage
	Attempt     int // 1 from the first making on
	TokenSerial string
	CertSerial  string
	Note        string // why it failed, in plain words
	UpdatedAt   time.Time
}

func (s *Service) newItems(o Order, at time.Time) []Item {
	var items []Item
	for _, l := range o.Lines {
		for range l.Quantity {
			items = append(items, Item{ID: s.newID(), OrderID: o.ID, N: len(items) + 1, Seal: l.Seal, Stage: ItemWaiting, UpdatedAt: at})
		}
	}
	return items
}

// itemMoves says what an order event does to the item it names.
var itemMoves = map[Event]struct {
	from  []ItemStage
	to    ItemStage
	again bool // a new attempt
}{
	MakeKey:     {[]ItemStage{ItemWaiting}, ItemMaking, true},
	KeyVerified: {[]ItemStage{ItemMaking, ItemFailed}, ItemVerified, false},
	KeyFailed:   {[]ItemStage{ItemMaking}, ItemFailed, false},
	Run:         {[]ItemStage{ItemWaiting, ItemMaking}, ItemMaking, true},
	ReadBackOK:  {[]ItemStage{ItemMaking}, ItemVerified, false},
	RetryKey:    {[]ItemStage{ItemFailed}, ItemMaking, true},
}

func moveItem(ctx context.Context, tx Tx, c Command) error {
	m, ok := itemMoves[c.On]
	if !ok {
		return nil
	}
	i := slices.IndexFunc(c.items, func(i Item) bool { return i.ID == c.Item })
	if i < 0 {
		return Errorf(NotFound, "item_not_found", "没有找到该 UKEY 任务")
	}
	it := c.items[i]
	was := it.Stage
	if !slices.Contains(m.from, was) {
		return Errorf(Conflict, "item_not_ready", "该 UKEY 任务当前为「%s」，不能执行该操作", was.Label())
	}
	it.Stage, it.Note, it.UpdatedAt = m.to, "", c.at
	if m.again {
		it.Attempt++
	}
	switch m.to {
	case ItemVerified:
		it.TokenSerial, it.CertSerial = c.TokenSerial, c.CertSerial
	case ItemFailed:
		it.Note = c.Note
	default:
	}
	return tx.UpdateItem(ctx, it, was)
}

// abandonRun has the items of a run that was cut short wait as if it had never begun.
func (s *Service) abandonRun(ctx context.Context, tx Tx, c Command) error {
	for _, it := range c.items {
		if it.Stage != ItemMaking {
			continue
		}
		it.Stage, it.Attempt, it.UpdatedAt = ItemWaiting, 0, c.at
		if err := tx.UpdateItem(ctx, it, ItemMaking); err != nil {
			return err
		}
		if err := tx.AbandonIssue(ctx, it.ID, c.at); err != nil {
			return err
		}
	}
	return nil
}
