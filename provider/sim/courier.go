package sim

import (
	"context"
	"crypto/md5" //nolint:gosec // the provider's protocol
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Courier is the 快递100 account whose subscriptions are taken.
type Courier struct {
	Key string // 授权码
}

// Parcel is one subscription and what its courier has done with the parcel.
type Parcel struct {
	Number    string       `json:"number"`
	Company   string       `json:"company"`
	Phone     string       `json:"phone,omitempty"` // last four digits
	Path      string       `json:"path"`            // of the callbackurl
	Salt      string       `json:"salt"`
	State     string       `json:"state"` // 快递100's
	Label     string       `json:"label"`
	Moves     []ParcelMove `json:"moves"` // oldest first
	Pushes    []ParcelPush `json:"pushes"`
	CreatedAt time.Time    `json:"created_at"`
}

// ParcelMove is one line of the track.
type ParcelMove struct {
	At    time.Time `json:"at"`
	State string    `json:"state"`
	Text  string    `json:"text"`
}

// ParcelPush is one push with everything that was tried.
type ParcelPush struct {
	How      string     `json:"how"`
	Param    string     `json:"param"`
	Attempts []Attempt  `json:"attempts"`
	NextAt   *time.Time `json:"next_at,omitempty"` // when it is tried again; absent when taken or given up
	Taken    bool       `json:"taken"`
}

// parcelMoves are what can happen to a parcel: 快递100's state, its name, and the line
// that the courier writes. The person in it is invented.
var parcelMoves = map[string]struct{ state, label, text string }{
	"pick_up": {"1", "揽收", "【北京市】快件已被揽收，揽收员 测试甲 13900000088"},
	"transit": {"0", "在途", "【昆明市】快件到达 昆明转运中心"},
	"trouble": {"2", "疑难", "【昆明市】派送未成功：电话无人接听"},
	"deliver": {"5", "派件", "【昆明市】快件正在派送，派件员 测试乙 13900000089"},
	"sign":    {"3", "签收", "【昆明市】快件已签收，感谢使用"},
	"return":  {"6", "退回", "【昆明市】快件正在退回寄件人"},
	"back":    {"4", "退签", "【北京市】快件已由寄件人签收"},
}

// retries of a push that was not taken: every half hour, three times.
const (
	parcelRetry   = 30 * time.Minute
	parcelRetries = 3
)

var parcelNumber = regexp.MustCompile(`^[0-9A-Za-z]{6,32}$`)

func (s *Server) routeCourier(host string) {
	s.mux.HandleFunc("POST "+host+"/poll", s.faulty("courier.poll", refuseCourier, s.subscribeParcel))
	post(s, "parcel", s.operateParcel)
}

func refuseCourier(w http.ResponseWriter, status int, code string) {
	if code == "" {
		http.Error(w, http.StatusText(status), status)
		return
	}
	answerCourier(w, code, "injected fault")
}

func answerCourier(w http.ResponseWriter, code, message string) {
	writeJSON(w, http.StatusOK, map[string]any{"result": code == "200", "returnCode": code, "message": message})
}

// subscribeParcel is 订阅请求.
func (s *Server) subscribeParcel(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Company    string `json:"company"`
		Number     string `json:"number"`
		Key        string `json:"key"`
		Parameters struct {
			CallbackURL string `json:"callbackurl"`
			Salt        string `json:"salt"`
			Phone       string `json:"phone"`
		} `json:"parameters"`
	}
	if r.PostFormValue("schema") != "json" || json.Unmarshal([]byte(r.PostFormValue("param")), &q) != nil {
		answerCourier(w, "701", "POLL:订阅方的订阅数据存在错误")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.parcels.get(q.Number)
	switch {
	case s.cfg.Courier.Key == "" || q.Key != s.cfg.Courier.Key:
		answerCourier(w, "600", "POLL:您不是合法的订阅者（即授权Key出错）")
	case !slices.Contains([]string{"shunfeng", "ems", "jd"}, q.Company):
		answerCourier(w, "700", "POLL:不支持的快递公司")
	case !parcelNumber.MatchString(q.Number) || !strings.HasPrefix(q.Parameters.CallbackURL, "http"):
		answerCourier(w, "701", "POLL:订阅方的订阅数据存在错误")
	case q.Company == "shunfeng" && len(q.Parameters.Phone) != 4 && len(q.Parameters.Phone) != 11:
		answerCourier(w, "701", "POLL:顺丰单号须提供收件人或寄件人电话后四位")
	case known:
		answerCourier(w, "501", "POLL:重复订阅")
	default:
		s.parcels.put(q.Number, Parcel{
			Number: q.Number, Company: q.Company, Phone: q.Parameters.Phone, Path: pathOf(q.Parameters.CallbackURL), Salt: q.Parameters.Salt,
			Label: "待揽收", Moves: []ParcelMove{}, Pushes: []ParcelPush{}, CreatedAt: s.now(),
		})
		s.note("courier", "快递 "+q.Number+" 开始跟踪")
		answerCourier(w, "200", "提交成功")
	}
}

// parcelCommand moves a parcel (how is a key of parcelMoves) and pushes that, or
// pushes what need not be believed: "repeat" the last push, "late" the one before it
// as if it had been overtaken, "forge" a signature for 签收.
type parcelCommand struct{ Number, How string }

func (s *Server) operateParcel(ctx context.Context, q parcelCommand) (any, error) {
	s.mu.Lock()
	p, ok := s.parcels.get(strings.ToUpper(q.Number))
	if !ok {
		s.mu.Unlock()
		return nil, fmt.Errorf("没有订阅单号 %s", q.Number)
	}
	push, err := s.preparePush(&p, q.How)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	p.Pushes = append(p.Pushes, push)
	s.parcels.put(p.Number, p)
	s.changed()
	s.mu.Unlock()

	f := s.strike("courier.push")
	if f.DelayMS > 0 {
		select {
		case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	for range 1 + f.Repeat {
		p = s.pushParcel(ctx, p.Number, len(p.Pushes)-1)
	}
	return p, nil
}

// preparePush moves the parcel and writes what to push. The caller holds the lock.
func (s *Server) preparePush(p *Parcel, how string) (ParcelPush, error) {
	moves := p.Moves
	switch m, is := parcelMoves[how]; {
	case is:
		p.Moves = append(p.Moves, ParcelMove{s.now(), m.state, m.text})
		p.State, p.Label = m.state, m.label
		moves = p.Moves
	case how == "forge":
		moves = append(slices.Clone(moves), ParcelMove{s.now(), "3", parcelMoves["sign"].text})
	case how == "late" && len(moves) > 1:
		moves = moves[:len(moves)-1]
	case how == "repeat" && len(moves) > 0:
	default:
		return ParcelPush{}, fmt.Errorf("这个包裹现在不能「%s」", how)
	}
	return ParcelPush{How: how, Param: paramOf(*p, moves), Attempts: []Attempt{}}, nil
}

// paramOf is the whole track, newest first, as 快递100 pushes it.
func paramOf(p Parcel, moves []ParcelMove) string {
	data := []map[string]string{}
	for _, m := range slices.Backward(moves) {
		at := m.At.In(shanghai).Format(time.DateTime)
		data = append(data, map[string]string{"context": m.Text, "time": at, "ftime": at, "status": stateLabel(m.State)})
	}
	last := moves[len(moves)-1]
	signed, status := "0", "polling"
	if last.State == "3" {
		signed, status = "1", "shutdown"
	}
	b, _ := json.Marshal(map[string]any{ // plain values
		"status": status, "billstatus": "got", "message": "", "autoCheck": "0", "comOld": "", "comNew": "",
		"lastResult": map[string]any{
			"message": "ok", "nu": p.Number, "ischeck": signed, "com": p.Company, "status": "200", "state": last.State, "condition": "F00", "data": data,
		},
	})
	return string(b)
}

func stateLabel(state string) string {
	for _, m := range parcelMoves {
		if m.state == state {
			return m.label
		}
	}
	return ""
}

// pushParcel makes one attempt at a push.
func (s *Server) pushParcel(ctx context.Context, number string, i int) Parcel {
	s.mu.Lock()
	p, _ := s.parcels.get(number)
	push := p.Pushes[i]
	push.NextAt = nil // taken: nobody else sends it meanwhile
	p.Pushes = slices.Clone(p.Pushes)
	p.Pushes[i] = push
	s.parcels.put(number, p)
	s.busy++
	s.mu.Unlock()
	defer s.free()

	a := s.sendPush(ctx, p, push)

	s.mu.Lock()
	defer s.mu.Unlock()
	p, _ = s.parcels.get(number)
	p.Pushes = slices.Clone(p.Pushes)
	push = p.Pushes[i]
	push.Attempts = append(slices.Clone(push.Attempts), a)
	var reply struct {
		Result bool `json:"result"`
	}
	push.Taken = push.Taken || a.Status == http.StatusOK && json.Unmarshal([]byte(a.Body), &reply) == nil && reply.Result
	if !push.Taken && push.How != "forge" && len(push.Attempts) <= parcelRetries {
		next := s.now().Add(time.Duration(float64(parcelRetry) * s.cfg.RetryScale))
		push.NextAt = &next
	}
	p.Pushes[i] = push
	s.parcels.put(number, p)
	s.note("courier", fmt.Sprintf("快递推送 %s：HTTP %d %s", number, a.Status, a.Error))
	return p
}

func (s *Server) sendPush(ctx context.Context, p Parcel, push ParcelPush) Attempt {
	salt := p.Salt
	if push.How == "forge" {
		salt = "not the salt"
	}
	sum := md5.Sum([]byte(push.Param + salt)) //nolint:gosec // the provider's protocol
	form := url.Values{"sign": {strings.ToUpper(hex.EncodeToString(sum[:]))}, "param": {push.Param}}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallbackTimeout)
	defer cancel()
	var body io.Reader = strings.NewReader(form.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.ProductURL+p.Path, body)
	if err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	return s.call(req)
}

// duePushes are those whose time to be tried again has come. The caller holds the lock.
func (s *Server) duePushes() (due []func(context.Context)) {
	now := s.now()
	for _, p := range s.parcels.find(nil) {
		for i, push := range p.Pushes {
			if push.NextAt != nil && !push.NextAt.After(now) {
				due = append(due, func(ctx context.Context) { s.pushParcel(ctx, p.Number, i) })
			}
		}
	}
	return due
}
