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
	Templates []string `json:"templates" doc:"Ask for these with wx.requestSubscribeMessage, when the user taps something"`
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
// about the tasks of staff.
func (s *Server) subscriptionsOf(ctx context.Context) ([]string, error) {
	p, err := s.Store.Person(ctx, callOf(ctx).v.PersonID())
	if err != nil {
		return nil, err
	}
	me, err := s.personJSON(ctx, p)
	ids := []string{s.Mini.Subscriptions[notice.ProgressTemplate]}
	if me.Staff {
		ids = append(ids, s.Mini.Subscriptions[notice.TaskTemplate])
	}
	return ids, err
}

const noSuchTemplate = "没有这个消息模板，请重新进入小程序后再订阅"

func (s *Server) apiSubscriptions(ctx context.Context, _ *nothing) (*subscriptionsOutput, error) {
	ids, err := s.subscriptionsOf(ctx)
	return &subscriptionsOutput{SubscriptionsJSON{ids}}, err
}

// apiSubscribe believes the caller: who claims a consent that WeChat does not know
// of is told by another way.
func (s *Server) apiSubscribe(ctx context.Context, in *answersInput) (*nothing, error) {
	openID := callOf(ctx).v.Session.OpenID
	if openID == "" {
		return nil, order.Errorf(order.Forbidden, "mini_program_only", "请在小程序里订阅消息")
	}
	ids, err := s.subscriptionsOf(ctx)
	if err != nil {
		return nil, err
	}
	var answers []order.WeChatConsent
	for id, answer := range in.Body.Answers {
		if !slices.Contains(ids, id) {
			return nil, &order.Error{Kind: order.Invalid, Code: "no_such_template", Detail: noSuchTemplate, Fields: []order.FieldError{{Field: "answers", Detail: noSuchTemplate}}}
		}
		answers = append(answers, order.WeChatConsent{AppID: s.Mini.AppID, OpenID: openID, TemplateID: id, Accepted: answer == "accept", At: s.Now()})
	}
	return &nothing{}, s.Mini.Consents.RecordConsents(ctx, answers)
}
