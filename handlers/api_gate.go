package handlers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// call is what the gate found out about a request of the API.
type call struct {
	c     *fiber.Ctx
	v     Visitor
	order order.Order             // of routes with an :id, the caller's own
	mark  order.Mark              // instead, of routes that are ByMark
	cert  certificate.Certificate // of routes with a :serial, bound to the caller (or, see Given, once his)
	legal legalRep                // of the legal representative's routes, his own
}

type callKey struct{}

// callOf returns the call that the gate admitted.
func callOf(ctx context.Context) call {
	k, _ := ctx.Value(callKey{}).(call)
	return k
}

func (k call) actor() order.Actor { return k.v.Actor(k.c) }

// operation declares an operation of the API, with its line in the matrix. The
// gate runs before anything of the request is read.
func operation[I, O any](s *Server, api huma.API, r route, id, summary string, h func(context.Context, *I) (*O, error)) {
	s.matrix = append(s.matrix, r)
	op := huma.Operation{
		OperationID: id, Method: r.Method, Path: humaPath(r.Path), Summary: summary, Middlewares: huma.Middlewares{s.admitAPI(r)},
		Errors: []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable},
	}
	if r.Access == Applicant || r.Access == OfLegalRep {
		op.Security = []map[string][]string{{"bearer": {}}, {"session": {}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict)
	}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		return out, s.apiProblem(ctx, err)
	})
	var in I
	if f, ok := any(in).(takesFile); ok { // told afterwards: huma would read it as JSON
		api.OpenAPI().Paths[op.Path].Post.RequestBody = fileBody(f.file())
	}
}

// pictureInput marks an operation that takes one picture. The file is read by the
// same code as the portal's, so the input declares no body.
type pictureInput struct{}

const onePicture = "One JPEG or PNG picture of at most 8 MiB"

func (pictureInput) file() (what string, texts []string) { return onePicture, nil }

// takesFile is an input with a file: what it is, and the names of the texts that come with it.
type takesFile interface {
	file() (what string, texts []string)
}

func fileBody(what string, texts []string) *huma.RequestBody {
	parts := map[string]*huma.Schema{"file": {Type: "string", Format: "binary", Description: what}}
	for _, name := range texts {
		parts[name] = &huma.Schema{Type: "string"}
	}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		fiber.MIMEMultipartForm: {Schema: &huma.Schema{Type: "object", Required: append([]string{"file"}, texts...), Properties: parts}},
	}}
}

// apiProblem makes an error one that huma writes as it is.
func (s *Server) apiProblem(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	p := problemFor(err)
	k := callOf(ctx)
	p.Instance = k.c.GetRespHeader(fiber.HeaderXRequestID)
	setRetryAfter(k.c, p)
	if p.Status >= http.StatusInternalServerError {
		s.Log.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("request_id", p.Instance), slog.Any("err", err))
	}
	return &p
}

// apiFormats is how bodies are read and written: as huma does, but a number that does not
// fit is refused where it stands.
func apiFormats() map[string]huma.Format {
	f := huma.DefaultJSONFormat
	f.Unmarshal = readJSON
	return map[string]huma.Format{fiber.MIMEApplicationJSON: f, "json": f}
}

// wrongNumber is what readJSON says of a number, for malformed.
const wrongNumber = "body.%s is no integer"

// readJSON reads a body, which huma has done twice: for its schema, where a number that no
// float can hold is left out, and into the input, whose integers are written in digits only.
func readJSON(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if _, forSchema := v.(*any); ok && forSchema {
		return nil
	}
	if ok && wrong.Field != "" {
		return fmt.Errorf(wrongNumber, wrong.Field)
	}
	return err
}

// expected says what huma expects, by its message.
var expected = map[string]string{
	validation.MsgExpectedInteger: "应为整数，只用数字书写且不能过大，例如 1",
	"invalid integer":             "应为整数，只用数字书写且不能过大，例如 1", // of a query
	validation.MsgExpectedString:  "应为文字（字符串）",
	validation.MsgExpectedBoolean: "应为 true 或 false",
}

// malformed says in our words what huma refuses by itself: a body that it cannot read, or
// that is not as the description says. Where is named; what was sent is not repeated.
func malformed(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := Problem{
		Type: "about:blank", Title: m.Title, Status: m.Status, Code: "http", Detail: "请求内容不符合要求，请检查后重试",
		Instance: humafiber.Unwrap(ctx).GetRespHeader(fiber.HeaderXRequestID),
	}
	if m.Status == http.StatusUnsupportedMediaType {
		p.Detail = ordinary[m.Status]
	}
	for _, e := range m.Errors {
		at, detail := e.Location, cmp.Or(expected[e.Message], "格式或长度不符合要求")
		var named string
		if n, _ := fmt.Sscanf(e.Message, validation.MsgExpectedRequiredProperty, &named); n == 1 { // huma names where it should be
			at, detail = at+"."+named, "缺少该项，请填写后重试"
		}
		if n, _ := fmt.Sscanf(e.Message, wrongNumber, &named); n == 1 {
			at, detail = "body."+named, expected[validation.MsgExpectedInteger]
		}
		if _, at, inside := strings.Cut(at, "."); inside {
			p.Fields = append(p.Fields, order.FieldError{Field: order.Field(at), Detail: detail})
		}
	}
	return &p, nil
}

// admitAPI is the gate of an API route: who calls, whether this is a page of
// ours, and whether the thing in the path is his. Somebody else's and what does
// not exist answer alike, whatever the body (F23, reliability.md #15).
func (s *Server) admitAPI(r route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		c := humafiber.Unwrap(ctx)
		k, err := s.admitCall(c, r)
		if err != nil {
			_ = s.failed(c, err) // a problem document always encodes
			return
		}
		c.Set(fiber.HeaderCacheControl, "no-store")
		next(huma.WithContext(ctx, context.WithValue(c.UserContext(), callKey{}, k)))
	}
}

func (s *Server) admitCall(c *fiber.Ctx, r route) (call, error) {
	k := call{c: c}
	if r.Access == Plain || r.Access == Proof {
		return k, nil
	}
	var err error
	if token, ok := bearer(c); ok {
		kind := session.Mini
		if r.Access == OfLegalRep {
			kind = session.LegalRep
		}
		if k.v.Session, err = s.Sessions.Get(c.UserContext(), kind, token); err != nil {
			return k, err
		}
	} else {
		if err = s.admit(c, r); err != nil {
			return k, err
		}
		k.v = visitorOf(c)
	}
	if r.Access == OfLegalRep {
		if k.legal, err = s.legalRepOf(c.UserContext(), c.Params("ticket"), k.v.Session); err != nil {
			return k, err
		}
	}
	if strings.Contains(r.Path, ":id") {
		if err = s.admitTo(c.UserContext(), order.ID(c.Params("id")), r, &k); err != nil {
			return k, err
		}
	}
	if strings.Contains(r.Path, ":serial") {
		k.cert, err = s.Status.Own(c.UserContext(), c.Params("serial"), k.v.PersonID())
		if r.Given && errors.Is(err, order.NotFound) {
			k.cert, err = s.given(c.UserContext(), c.Params("serial"), k.v.PersonID())
		}
	}
	return k, err
}

// admitTo finds the order of a call.
func (s *Server) admitTo(ctx context.Context, id order.ID, r route, k *call) (err error) {
	if r.ByMark {
		var owner string
		if k.mark, owner, err = s.Store.Mark(ctx, id); err == nil && (owner == "" || owner != k.v.PersonID()) || errors.Is(err, order.NotFound) {
			err = orderNotFound
		}
		return err
	}
	k.order, err = s.orderOf(ctx, id, k.v)
	return err
}

var orderNotFound = order.Errorf(order.NotFound, "order_not_found", "没有找到该订单")

// orderOf reads an order of whoever calls. Somebody else's answers like one that
// does not exist.
func (s *Server) orderOf(ctx context.Context, id order.ID, v Visitor) (order.Order, error) {
	o, err := s.Store.Order(ctx, id)
	if err == nil && !o.OwnedBy(v.PersonID(), "") || errors.Is(err, order.NotFound) {
		return order.Order{}, orderNotFound
	}
	return o, err
}

// bearer is the token of a request that carries one. Such a request is the
// mini-program's: its cookies count for nothing and it needs no CSRF token, as no
// foreign page can make a browser send it (reliability.md #21).
func bearer(c *fiber.Ctx) (token string, ok bool) {
	scheme, token, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	return token, strings.EqualFold(scheme, "Bearer")
}

// humaPath writes fiber's :id as {id}.
func humaPath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}
