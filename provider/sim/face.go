package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim/tc3"
)

// facePage is below which a phone shows the camera.
const facePage = "/playground/faceid.qq.com/"

// faceLife is how long a face check may be done, and its result fetched.
const faceLife = 3 * 24 * time.Hour

// faceCheck is one check, from DetectAuth on.
type faceCheck struct {
	name, id, extra string
	back            *url.URL
	code            *int64 // nil until it is decided
	until           time.Time
}

// The results of a face check that the page offers; any other code is a failure, too.
const (
	faceSame      = 0
	faceDifferent = 1004 // compared with the register: not the same
	faceGivenUp   = 2017 // the user left
)

// startFace opens a check (DetectAuth). The caller holds the lock.
func (s *Server) startFace(body []byte) (map[string]any, error) {
	var q struct {
		RuleID      string `json:"RuleId"`
		IDCard      string `json:"IdCard"`
		Name, Extra string
		RedirectURL string `json:"RedirectUrl"`
	}
	if json.Unmarshal(body, &q) != nil {
		return nil, errNoBody
	}
	back, err := url.Parse(q.RedirectURL)
	public, _ := url.Parse(s.cfg.PublicURL)
	switch {
	case s.cfg.FaceID.RuleID == "" || q.RuleID != s.cfg.FaceID.RuleID:
		return nil, &tc3.Error{Code: "InvalidParameterValue.RuleIdNotExist", Message: "RuleId does not exist."}
	case q.Name == "" || !idNumber.MatchString(strings.ToUpper(q.IDCard)):
		return nil, &tc3.Error{Code: "InvalidParameter", Message: "Name and IdCard are required."}
	case err != nil || back.Host != public.Host || back.Scheme != public.Scheme || len(q.RedirectURL) > 1024:
		return nil, &tc3.Error{Code: "InvalidParameter", Message: "RedirectUrl is not an address of yours."}
	case len(q.Extra) > 1024:
		return nil, &tc3.Error{Code: "InvalidParameter", Message: "Extra is too long."}
	}
	id := strings.ToUpper(token(16))
	s.faces[id] = &faceCheck{name: q.Name, id: strings.ToUpper(q.IDCard), extra: q.Extra, back: back, until: s.now().Add(faceLife)}
	return map[string]any{"BizToken": id, "Url": s.cfg.PublicURL + facePage + id}, nil
}

// faceResult tells how a check ended (GetDetectInfoEnhanced). The caller holds the lock.
func (s *Server) faceResult(body []byte) (map[string]any, error) {
	var q struct {
		BizToken string
		RuleID   string `json:"RuleId"`
	}
	if json.Unmarshal(body, &q) != nil {
		return nil, errNoBody
	}
	f := s.faces[q.BizToken]
	if f == nil || q.RuleID != s.cfg.FaceID.RuleID || !s.now().Before(f.until) {
		return nil, &tc3.Error{Code: "InvalidParameterValue.BizTokenIllegal", Message: "BizToken is illegal."}
	}
	text := map[string]any{"ErrCode": f.code, "ErrMsg": nil, "IdCard": f.id, "Name": f.name, "Extra": f.extra, "LiveStatus": f.code, "Comparestatus": f.code}
	return map[string]any{"Text": text, "IdCardData": nil, "BestFrame": nil, "VideoData": nil}, nil
}

// showFace is the page with the camera.
func (s *Server) showFace(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.faces[r.PathValue("token")]
	open := f != nil && f.code == nil && s.now().Before(f.until)
	s.mu.Unlock()
	if !open {
		s.renderError(w, "核验已结束或已失效，请返回重新发起")
		return
	}
	s.render(w, http.StatusOK, "face.html", map[string]any{"Name": maskName(f.name), "Different": faceDifferent, "GivenUp": faceGivenUp})
}

// decideFace ends a check and goes back to where it was asked for.
func (s *Server) decideFace(w http.ResponseWriter, r *http.Request) {
	var code int64
	if _, err := fmt.Sscan(r.FormValue("code"), &code); err != nil {
		s.renderError(w, "没有选择结果")
		return
	}
	s.mu.Lock()
	f := s.faces[r.PathValue("token")]
	decided := f != nil && f.code == nil && s.now().Before(f.until)
	if decided {
		f.code = &code
		s.note("faceid", fmt.Sprintf("人脸核验 %s：%s", maskName(f.name), map[bool]string{true: "本人", false: "未通过"}[code == faceSame]))
	}
	s.mu.Unlock()
	if !decided {
		s.renderError(w, "核验已结束或已失效，请返回重新发起")
		return
	}
	http.Redirect(w, r, f.back.String(), http.StatusSeeOther)
}
