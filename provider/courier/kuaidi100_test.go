package courier

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/order"
)

// pushed is a push as 快递100 documents it.
const pushed = `{"status":"polling","billstatus":"got","message":"","autoCheck":"0","comOld":"","comNew":"","lastResult":{"message":"ok","state":"0","status":"200","condition":"F00","ischeck":"0","com":"shunfeng","nu":"SF1234567890123","data":[` +
	`{"context":"快件到达【昆明转运中心】","time":"2026-11-26 16:33:19","ftime":"2026-11-26 16:33:19","status":"在途"},` +
	`{"context":"快件已揽收","time":"2026-11-26 09:10:00","ftime":"2026-11-26 09:10:00","status":"揽收"}]}}`

func account(t *testing.T, base string) *Kuaidi100 {
	t.Helper()
	k, err := NewKuaidi100(Config{Key: "key", Salt: "salt", CallbackURL: "https://ca.example.cn/callbacks/courier", BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func body(pairs ...string) []byte {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, pairs[i]+"="+url.QueryEscape(pairs[i+1]))
	}
	return []byte(strings.Join(parts, "&"))
}

func TestParsePush(t *testing.T) {
	k := account(t, "")
	good := sign(pushed, "salt")
	if got := sign(`{"a":1}`, "salt"); got != "B218F90555A22945EC35A666B2C7B040" {
		t.Fatalf("sign %q", got)
	}
	got, err := k.ParsePush(body("sign", good, "param", pushed))
	if err != nil {
		t.Fatal(err)
	}
	at := func(clock string) time.Time {
		v, err := time.Parse(time.DateTime, "2026-11-26 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := order.CourierReport{TrackingNo: "SF1234567890123", State: order.ParcelInTransit, Track: []order.TrackLine{
		{At: at("08:33:19"), Text: "快件到达【昆明转运中心】"}, {At: at("01:10:00"), Text: "快件已揽收"},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	replaced := func(old, by string) []byte {
		p := strings.ReplaceAll(pushed, old, by)
		return body("sign", sign(p, "salt"), "param", p)
	}
	tests := map[string]struct {
		body []byte
		want order.Kind
	}{
		"lower case":            {body("sign", strings.ToLower(good), "param", pushed), order.Forbidden},
		"foreign salt":          {body("sign", sign(pushed, "other"), "param", pushed), order.Forbidden},
		"another parcel":        {body("sign", good, "param", strings.Replace(pushed, "0123", "0124", 1)), order.Forbidden},
		"no sign":               {body("param", pushed), order.Forbidden},
		"two signs":             {body("sign", good, "sign", good, "param", pushed), order.Forbidden},
		"two params":            {body("sign", good, "param", pushed, "param", pushed), order.Forbidden},
		"nothing":               {nil, order.Forbidden},
		"not a form":            {[]byte("%zz"), order.Forbidden},
		"not JSON":              {body("sign", sign("{", "salt"), "param", "{"), order.Invalid},
		"a time that is none":   {replaced("2026-11-26 16:33:19", "yesterday"), order.Invalid},
		"nothing found (abort)": {body("sign", sign(`{"status":"abort"}`, "salt"), "param", `{"status":"abort"}`), order.Conflict},
		"a state of tomorrow":   {replaced(`"state":"0"`, `"state":"99"`), order.Conflict},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := k.ParsePush(tt.body); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want kind %v", err, tt.want)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	tests := map[string]struct {
		status int
		reply  string
		want   order.Kind // empty: no error
	}{
		"taken":             {200, `{"result":true,"returnCode":"200","message":"提交成功"}`, ""},
		"asked for before":  {200, `{"result":false,"returnCode":"501","message":"POLL:重复订阅"}`, ""},
		"its server fails":  {200, `{"result":false,"returnCode":"500","message":"POLL:服务器错误"}`, order.Unavailable},
		"a proxy fails":     {502, ``, order.Unavailable},
		"not JSON":          {200, `<html>`, order.Unavailable},
		"no such account":   {200, `{"result":false,"returnCode":"600","message":"POLL:非法的key"}`, order.Invalid},
		"cannot be tracked": {200, `{"result":false,"returnCode":"700","message":"POLL:不支持"}`, order.Invalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var form url.Values
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				form = r.PostForm
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.reply))
			}))
			defer s.Close()
			err := account(t, s.URL).Follow(t.Context(), "sf", "SF1234567890123", "7069")
			if tt.want == "" && err != nil || tt.want != "" && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want kind %v", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "SF12345") || strings.Contains(err.Error(), "7069")) {
				t.Errorf("the error quotes the parcel: %v", err)
			}
			want := `{"company":"shunfeng","key":"key","number":"SF1234567890123","parameters":{"callbackurl":"https://ca.example.cn/callbacks/courier","phone":"7069","salt":"salt"}}`
			if form.Get("schema") != "json" || form.Get("param") != want {
				t.Errorf("sent %v", form)
			}
		})
	}
}

// What strangers send never panics and is never believed.
func FuzzParsePush(f *testing.F) {
	f.Add(string(body("sign", sign(pushed, "other"), "param", pushed)))
	f.Add("sign=&param=")
	f.Add("%")
	k, err := NewKuaidi100(Config{Key: "key", Salt: "a salt that the fuzzer does not know"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := k.ParsePush([]byte(text)); !errors.Is(err, order.Forbidden) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// The account's key is in the form: it goes to nobody else.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s went elsewhere", r.Method, r.URL) }))
	t.Cleanup(elsewhere.Close)
	here := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(here.Close)
	if err := account(t, here.URL).Follow(t.Context(), "sf", "SF1234567890123", "7069"); !errors.Is(err, order.Unavailable) {
		t.Errorf("%v", err)
	}
}
