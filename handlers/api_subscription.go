package handlers

import (
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// SubscriptionsJSON is what the mini-program may ask its user for.
type SubscriptionsJSON struct {
	Templates []string          `json:"templates" doc:"Ask for these with wx.requestSubscribeMessage, when the user taps something"`
	Notices   map[string]string `json:"notices" doc:"The same by what they tell of: order_progress, staff_task"`
}

type (
	subscriptionsOutput struct{ Body SubscriptionsJSON }
	answersInput        struct {
		Body struct {
			Answers map[string]string `json:"answers" doc:"What wx.requestSubscribeMessage returned: template id to accept, reject, ban or filter"`
		}
	}
)

func (s *Server) apiSubscriptionRoutes(api huma.API) {
	operation(s, api, apiGet("/subscriptions"), "list-subscriptions", "Which subscription messages the caller can allow", s.apiSubscriptions)
	operation(s, api, apiPost("/subscriptions"), "answer-subscriptions", "Tell which subscription messages the caller has allowed", s.apiSubscribe)
}

// subscriptionsOf are the messages that the caller may get: about his orders, and
// about the tasks of staff. What has no template cannot be asked for.
func (s *Server) subscriptionsOf(ctx context.Context) (out SubscriptionsJSON, err error) {
	p, err := s.Store.Person(ctx, callOf(ctx).v.PersonID())
	if err != nil {
		return out, err
	}
	me, err := s.personJSON(ctx, p)
	of := []string{notice.ProgressTemplate}
	if me.Staff {
		of = append(of, notice.TaskTemplate)
	}
	out = SubscriptionsJSON{Templates: []string{}, Notices: map[string]string{}}
	for _, name := range of {
		if id := s.Mini.Subscriptions[name]; id != "" {
			out.Templates, out.Notices[name] = append(out.Templates, id), id
		}
	}
	return out, err
}

const noSuchTemplate = "没有这个消息模板，请重新进入小程序后再订阅"

func (s *Server) apiSubscriptions(ctx context.Context, _ *nothing) (*subscriptionsOutput, error) {
	may, err := s.subscriptionsOf(ctx)
	return &subscriptionsOutput{may}, err
}

// apiSubscribe believes the caller: who claims a consent that WeChat does not know
// of is told by another way.
func (s *Server) apiSubscribe(ctx context.Context, in *answersInput) (*nothing, error) {
	openID := callOf(ctx).v.Session.OpenID
	if openID == "" {
		return nil, order.Errorf(order.Forbidden, "mini_program_only", "请在小程序里订阅消息")
	}
	may, err := s.subscriptionsOf(ctx)
	if err != nil {
		return nil, err
	}
	var answers []order.WeChatConsent
	for id, answer := range in.Body.Answers {
		if !slices.Contains(may.Templates, id) {
			return nil, &order.Error{Kind: order.Invalid, Code: "no_such_template", Detail: noSuchTemplate, Fields: []order.FieldError{{Field: "answers", Detail: noSuchTemplate}}}
		}
		answers = append(answers, order.WeChatConsent{AppID: s.Mini.AppID, OpenID: openID, TemplateID: id, Accepted: answer == "accept", At: s.Now()})
	}
	return &nothing{}, s.Mini.Consents.RecordConsents(ctx, answers)
}
