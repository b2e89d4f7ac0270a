package realname

import (
	"context"
	"errors"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// FaceProvider names the face check in evidence.
const FaceProvider = "tencent faceid DetectAuth"

// OffersFace reports whether the account has a face check.
func (t *Tencent) OffersFace() bool { return t.faceRule != "" }

// StartFace opens a face check of one person in the browser (DetectAuth, cloud.tencent.com/document/api/1007/31816).
// about names what it is for and comes back with the result; back is where the browser goes afterwards.
func (t *Tencent) StartFace(ctx context.Context, about string, name identity.PersonName, no identity.DocNo, back string) (token, url string, err error) {
	in := struct {
		RuleID      string `json:"RuleId"`
		IDCard      string `json:"IdCard"`
		Name        string
		RedirectURL string `json:"RedirectUrl"`
		Extra       string
	}{t.faceRule, no.Reveal(), name.Reveal(), back, about}
	var out struct {
		BizToken string
		URL      string `json:"Url"`
	}
	if err := t.api.Call(ctx, "DetectAuth", in, &out); err != nil {
		return "", "", err
	}
	if out.BizToken == "" || out.URL == "" {
		return "", "", errors.New("faceid DetectAuth: neither token nor address")
	}
	return out.BizToken, out.URL, nil
}

// FaceResult says what became of a face check (GetDetectInfoEnhanced, …/1007/41957). It counts for
// what it was started for and for that person only; one that is not finished is Invalid.
func (t *Tencent) FaceResult(ctx context.Context, token, about string, name identity.PersonName, no identity.DocNo) (order.Identity, error) {
	const text = "1" // no pictures
	in := struct {
		BizToken string
		RuleID   string `json:"RuleId"`
		InfoType string
	}{token, t.faceRule, text}
	var out struct {
		Text *struct {
			ErrCode     *int64
			IDCard      string `json:"IdCard"`
			Name, Extra string
		}
	}
	if err := t.api.Call(ctx, "GetDetectInfoEnhanced", in, &out); err != nil {
		return order.Identity{}, err
	}
	if out.Text == nil || out.Text.ErrCode == nil || out.Text.Extra != about {
		return order.Identity{}, order.Errorf(order.Invalid, "face_unfinished", "人脸核验还没有完成，请重新核验，或改用手机号核验")
	}
	id := order.Identity{Result: order.RealNameMismatch, Provider: FaceProvider, ID: token, At: t.now()}
	if *out.Text.ErrCode == 0 && out.Text.IDCard == no.Reveal() && out.Text.Name == name.Reveal() {
		id.Result = order.RealNameMatch
	}
	return id, nil
}
