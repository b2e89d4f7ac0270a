package handlers

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// ReceiptJSON is one progress receipt. Its code is on the PDF only.
type ReceiptJSON struct {
	ID        string    `json:"id"`
	State     string    `json:"state" doc:"What it says, in Chinese" example:"审核通过，正在制证"`
	Since     time.Time `json:"since" doc:"Since when the order stood so"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type (
	receiptsOutput struct {
		Body struct {
			Receipts []ReceiptJSON `json:"receipts" doc:"Those that hold, newest first"`
			CanIssue bool          `json:"can_issue" doc:"One more can be issued now"`
		}
	}
	receiptInput struct {
		ID      string `path:"id" maxLength:"26"`
		Receipt string `path:"receipt" maxLength:"26"`
	}
	receiptOutput struct{ Body ReceiptJSON }
)

func (s *Server) apiReceiptRoutes(api huma.API) {
	operation(s, api, apiGet("/orders/:id/receipts"), "list-receipts", "The progress receipts of an order that hold", s.apiReceipts)
	operation(s, api, apiPost("/orders/:id/receipts"), "issue-receipt", "Issue a progress receipt: a sealed PDF that says how the order stands now", s.apiIssueReceipt)
	operation(s, api, apiPost("/orders/:id/receipts/:receipt/link"), "receipt-link", "A link to the PDF that works for five minutes", s.apiReceiptLink)
	operation(s, api, apiPost("/orders/:id/receipts/:receipt/withdraw"), "withdraw-receipt", "Withdraw a progress receipt: its page says so from now on", s.apiWithdrawReceipt)
}

func receiptJSON(r order.ProgressReceipt) ReceiptJSON {
	return ReceiptJSON{r.ID, r.State, r.Since, r.IssuedAt, r.ExpiresAt}
}

func (s *Server) apiReceipts(ctx context.Context, _ *idInput) (*receiptsOutput, error) {
	card, err := s.receiptCard(ctx, callOf(ctx).order)
	var out receiptsOutput
	out.Body.Receipts = []ReceiptJSON{}
	if err != nil || card == nil {
		return &out, err
	}
	for _, r := range card.Held {
		out.Body.Receipts = append(out.Body.Receipts, receiptJSON(r))
	}
	out.Body.CanIssue = card.Can
	return &out, nil
}

func (s *Server) apiIssueReceipt(ctx context.Context, _ *idInput) (*receiptOutput, error) {
	k := callOf(ctx)
	r, err := s.makeReceipt(ctx, k.order, k.actor())
	return &receiptOutput{receiptJSON(r)}, err
}

func (s *Server) apiReceiptLink(ctx context.Context, in *receiptInput) (*invoiceLinkOutput, error) {
	var out invoiceLinkOutput
	var err error
	out.Body.URL, out.Body.Until, err = s.receiptLink(ctx, callOf(ctx).order.ID, in.Receipt)
	return &out, err
}

func (s *Server) apiWithdrawReceipt(ctx context.Context, in *receiptInput) (*receiptsOutput, error) {
	k := callOf(ctx)
	if err := s.endReceipt(ctx, k.order.ID, in.Receipt, k.actor()); err != nil {
		return nil, err
	}
	return s.apiReceipts(ctx, nil)
}
