package order

import "context"

// Owe has the money of a trade go back, as the rows do that begin a refund.
func (s *Service) Owe(ctx context.Context, id ID, tradeNo string) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		was := o
		o.Refund = Refunding
		o.Rev++
		o.Seq++
		if err := tx.UpdateOrder(ctx, o, was); err != nil {
			return err
		}
		return s.owe(ctx, tx, tradeNo, Command{On: RefundStart, By: BySystem, Note: "测试"}, o.Seq)
	})
}
