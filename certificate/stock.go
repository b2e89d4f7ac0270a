package certificate

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// BlankState is where a blank USBKEY stands.
type BlankState string

// The states of a blank.
const (
	BlankReceived BlankState = "received" // in stock
	BlankUsed     BlankState = "used"     // taken for a certificate
	BlankScrapped BlankState = "scrapped" // must not be used any more
)

// BlankStates lists the states in the order in which people look at them.
var BlankStates = []BlankState{BlankReceived, BlankUsed, BlankScrapped}

var blankStateLabels = map[BlankState]string{BlankReceived: "在库", BlankUsed: "已使用", BlankScrapped: "已报废"}

// Label is the state as people read it.
func (s BlankState) Label() string { return blankStateLabels[s] }

// Blank is one USBKEY of the station's stock.
type Blank struct {
	Serial string // TW and 14 digits, as printed on the key
	Batch  string // of the delivery
	State  BlankState

	ReceivedAt time.Time
	ReceivedBy string // staff id
	UsedAt     time.Time
	ScrappedAt time.Time
	ScrappedBy string // staff id, or "system" when it died in the station
	Reason     ScrapReason
	Note       string
}

// ScrapReason is why a key is scrapped.
type ScrapReason string

// ScrapReasons are what the issuer may choose, in order, with their labels. "failed"
// is the station's own and cannot be chosen.
var ScrapReasons = []struct {
	Reason ScrapReason
	Label  string
}{
	{"damaged", "外观损坏"},
	{"unreadable", "电脑无法识别"},
	{"lost", "丢失或短少"},
	{"returned", "退回供应商"},
	{"other", "其他（请说明）"},
}

// ScrapFailed is the reason of a key that died while it was made.
const ScrapFailed ScrapReason = "failed"

// Label is the reason as people read it.
func (r ScrapReason) Label() string {
	for _, s := range ScrapReasons {
		if s.Reason == r {
			return s.Label
		}
	}
	if r == ScrapFailed {
		return "制证失败"
	}
	return ""
}

// BlankFilter selects blanks, in the order of their serial numbers.
type BlankFilter struct {
	State BlankState
	After string // the last serial number of the page before
	Limit int
}

// StockTx is what changing the stock needs of a transaction.
type StockTx interface {
	// AddBlank records a blank; Conflict when that serial number is known already.
	AddBlank(ctx context.Context, b Blank) error
	// ScrapBlank writes the scrapping if the blank is in stock; Conflict otherwise,
	// NotFound when it is unknown.
	ScrapBlank(ctx context.Context, b Blank) error
	AppendAudit(ctx context.Context, a order.AuditRecord) error
}

// StockStore keeps the stock.
type StockStore interface {
	Blanks(ctx context.Context, f BlankFilter) ([]Blank, error)
	// CountBlanks counts the blanks by state.
	CountBlanks(ctx context.Context) (map[BlankState]int, error)
	// ChangeStock runs fn in one transaction.
	ChangeStock(ctx context.Context, fn func(StockTx) error) error
}

// Stock is the station's inventory of blank USBKEYs.
type Stock struct {
	store StockStore
	now   func() time.Time
}

// NewStock returns the inventory kept in store.
func NewStock(s StockStore, now func() time.Time) *Stock { return &Stock{s, now} }

// List returns the blanks that f selects.
func (s *Stock) List(ctx context.Context, f BlankFilter) ([]Blank, error) {
	return s.store.Blanks(ctx, f)
}

// Count returns how many blanks are in each state.
func (s *Stock) Count(ctx context.Context) (map[BlankState]int, error) {
	return s.store.CountBlanks(ctx)
}

// deliveryLimit bounds one entry of the stock book.
const deliveryLimit = 1000

// Receive puts a delivery into stock, all of it or nothing. text holds serial
// numbers and ranges of them (first-last), separated by spaces, commas or lines.
func (s *Stock) Receive(ctx context.Context, by order.Actor, batch, text string) (int, error) {
	batch = strings.TrimSpace(batch)
	if n := len([]rune(batch)); n == 0 || n > 40 {
		return 0, order.Errorf(order.Invalid, "batch_invalid", "请填写批次号，不超过 40 字")
	}
	serials, err := ParseSerials(text)
	if err != nil {
		return 0, err
	}
	at := s.now()
	err = s.store.ChangeStock(ctx, func(tx StockTx) error {
		for _, serial := range serials {
			if err := tx.AddBlank(ctx, Blank{Serial: serial, Batch: batch, State: BlankReceived, ReceivedAt: at, ReceivedBy: by.ID()}); err != nil {
				return err
			}
		}
		return tx.AppendAudit(ctx, by.Did("", fmt.Sprintf("stock:receive:%d:%s", len(serials), serials[0]), at))
	})
	return len(serials), err
}

// Scrap takes a blank out of stock for good.
func (s *Stock) Scrap(ctx context.Context, by order.Actor, serial string, reason ScrapReason, note string) error {
	note = strings.TrimSpace(note)
	switch {
	case reason == ScrapFailed || reason.Label() == "":
		return order.Errorf(order.Invalid, "scrap_reason_required", "请选择报废原因")
	case reason == "other" && note == "":
		return order.Errorf(order.Invalid, "scrap_note_required", "请说明报废原因")
	case len([]rune(note)) > 100:
		return order.Errorf(order.Invalid, "scrap_note_too_long", "说明不能超过 100 字")
	}
	at := s.now()
	return s.store.ChangeStock(ctx, func(tx StockTx) error {
		if err := tx.ScrapBlank(ctx, Blank{Serial: serial, State: BlankScrapped, ScrappedAt: at, ScrappedBy: by.ID(), Reason: reason, Note: note}); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did("", "stock:scrap:"+serial+":"+string(reason), at))
	})
}

var (
	serialForm = regexp.MustCompile(`^TW([0-9]{14})$`)
	serialGaps = regexp.MustCompile(`[\s,，、;；]+`)
	rangeMark  = regexp.MustCompile(`\s*[-－~～至]+\s*`)
)

// ParseSerials reads serial numbers and ranges as people write them.
func ParseSerials(text string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	text = rangeMark.ReplaceAllString(strings.ToUpper(text), "-")
	for _, word := range serialGaps.Split(strings.TrimSpace(text), -1) {
		if word == "" {
			continue
		}
		first, last, err := parseRange(identity.HalfWidth(word))
		if err != nil {
			return nil, err
		}
		if last-first >= deliveryLimit || len(out)+int(last-first) >= deliveryLimit { //nolint:gosec // bounded by the comparison before it
			return nil, order.Errorf(order.Invalid, "blanks_too_many", "一次最多登记 %d 个，请分批登记", deliveryLimit)
		}
		for n := first; n <= last; n++ {
			serial := fmt.Sprintf("TW%014d", n)
			if seen[serial] {
				return nil, order.Errorf(order.Invalid, "blank_twice", "序列号 %s 重复填写", serial)
			}
			seen[serial] = true
			out = append(out, serial)
		}
	}
	if len(out) == 0 {
		return nil, order.Errorf(order.Invalid, "blanks_missing", "请填写 UKEY 序列号")
	}
	return out, nil
}

func parseRange(word string) (first, last uint64, err error) {
	from, to, isRange := strings.Cut(word, "-")
	if first, err = parseSerial(from); err != nil || !isRange {
		return first, first, err
	}
	if last, err = parseSerial(to); err == nil && last < first {
		err = order.Errorf(order.Invalid, "blank_range", "连号的首个序列号应小于末个")
	}
	return first, last, err
}

func parseSerial(text string) (uint64, error) {
	m := serialForm.FindStringSubmatch(text)
	if m == nil {
		if r := []rune(text); len(r) > 20 {
			text = string(r[:20]) + "…"
		}
		return 0, order.Errorf(order.Invalid, "blank_serial", "序列号「%s」格式不正确：TW 加 14 位数字，连号写作「首个-末个」", text)
	}
	return strconv.ParseUint(m[1], 10, 64)
}
