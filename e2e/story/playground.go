package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// Playground is the world outside the product, as its control API moves it.
type Playground struct {
	URL string // of the instance
}

// Call sends a request to the control API and decodes the answer into out.
func (p Playground) Call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.URL+"/playground/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, said)
	}
	if out == nil || len(said) == 0 {
		return nil
	}
	return json.Unmarshal(said, out)
}

func get[T any](ctx context.Context, p Playground, path string, query url.Values) (out T, err error) {
	return out, p.Call(ctx, http.MethodGet, "control/"+path+"?"+query.Encode(), nil, &out)
}

// Chat says something to the official account and returns what came of it.
func (p Playground) Chat(ctx context.Context, persona, text string) (out sim.Exchange, err error) {
	return out, p.Call(ctx, http.MethodPost, "control/chat", map[string]string{"persona": persona, "text": text}, &out)
}

// Push sends a hostile callback in the persona's name: forged, stale, plain or
// replay of the last message.
func (p Playground) Push(ctx context.Context, persona, mode string) (out sim.Exchange, err error) {
	return out, p.Call(ctx, http.MethodPost, "control/push", map[string]string{"persona": persona, "mode": mode}, &out)
}

// Pay does something with a trade: see how in the simulator's documentation.
func (p Playground) Pay(ctx context.Context, tradeNo, how string, times int) (out sim.PayResult, err error) {
	return out, p.Call(ctx, http.MethodPost, "control/pay", map[string]any{"out_trade_no": tradeNo, "how": how, "times": times}, &out)
}

// Personas are the people of the playground.
func (p Playground) Personas(ctx context.Context) ([]sim.PersonaView, error) {
	return get[[]sim.PersonaView](ctx, p, "personas", nil)
}

// SMS is everything that was texted, newest first.
func (p Playground) SMS(ctx context.Context) ([]sim.SMSMessage, error) {
	return get[[]sim.SMSMessage](ctx, p, "sms", nil)
}

// Code is the newest message with a code for a purpose that was texted to a mobile;
// its SerialNo tells it from an older one.
func (p Playground) Code(ctx context.Context, mobile, purpose string) (sim.SMSMessage, error) {
	all, err := p.SMS(ctx)
	for _, m := range all {
		if m.Mobile == mobile && strings.Contains(m.Text, "用于"+purpose) {
			return m, nil
		}
	}
	return sim.SMSMessage{}, errors.Join(err, fmt.Errorf("no code for %s was texted", purpose))
}

// Cards are the template messages that went out, newest first.
func (p Playground) Cards(ctx context.Context) ([]sim.TemplateMessage, error) {
	return get[[]sim.TemplateMessage](ctx, p, "templates", nil)
}

// Trades are the trades at WeChat Pay and Alipay, newest first.
func (p Playground) Trades(ctx context.Context) ([]sim.Trade, error) {
	return get[[]sim.Trade](ctx, p, "trades", nil)
}

// OpenTrade is the order's trade that waits to be paid.
func (p Playground) OpenTrade(ctx context.Context, orderID string) (sim.Trade, error) {
	all, err := p.Trades(ctx)
	for _, t := range all {
		if t.Attach == orderID && t.State == sim.NotPay {
			return t, nil
		}
	}
	return sim.Trade{}, errors.Join(err, fmt.Errorf("order %s has no open trade", orderID))
}

// Refunds are the refunds of both, newest first.
func (p Playground) Refunds(ctx context.Context) ([]sim.Refund, error) {
	return get[[]sim.Refund](ctx, p, "refunds", nil)
}

// Parcels are those that the courier follows, newest first.
func (p Playground) Parcels(ctx context.Context) ([]sim.Parcel, error) {
	return get[[]sim.Parcel](ctx, p, "parcels", nil)
}

// Courier has the courier do something with a parcel and push it: see how in the
// simulator's documentation.
func (p Playground) Courier(ctx context.Context, number, how string) (out sim.Parcel, err error) {
	return out, p.Call(ctx, http.MethodPost, "control/parcel", map[string]string{"number": number, "how": how}, &out)
}

// Shippings are what WeChat was told of payments in the mini-program, newest first.
func (p Playground) Shippings(ctx context.Context) ([]sim.ShippingView, error) {
	return get[[]sim.ShippingView](ctx, p, "shippings", nil)
}

// Invoices are the invoices at the platform that issues them, newest first.
func (p Playground) Invoices(ctx context.Context) ([]sim.Invoice, error) {
	return get[[]sim.Invoice](ctx, p, "invoices", nil)
}

// Invoice does something with an invoice: see how in the simulator's documentation.
func (p Playground) Invoice(ctx context.Context, id, how string, times int) (out sim.InvoiceResult, err error) {
	return out, p.Call(ctx, http.MethodPost, "control/invoice", map[string]any{"order_id": id, "how": how, "times": times}, &out)
}

// PlanInvoice says what becomes of the next invoice.
func (p Playground) PlanInvoice(ctx context.Context, plan string) (out sim.InvoiceResult, err error) {
	return out, p.Call(ctx, http.MethodPost, "control/invoice", map[string]any{"plan": plan}, &out)
}

// Fail lets a provider fail.
func (p Playground) Fail(ctx context.Context, f sim.Fault) error {
	return p.Call(ctx, http.MethodPost, "control/faults", f, nil)
}

// Recover ends all failures.
func (p Playground) Recover(ctx context.Context) error {
	return p.Call(ctx, http.MethodDelete, "control/faults", nil, nil)
}

// Advance moves the clocks of the product and of the simulators.
func (p Playground) Advance(ctx context.Context, by string) error {
	return p.Call(ctx, http.MethodPost, "clock", map[string]string{"advance": by}, nil)
}
