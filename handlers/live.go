package handlers

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
)

// How the live state of an order is watched: asked for every livePoll, told to
// the page at once, for at most liveLife per connection (the browser reconnects).
const (
	livePoll = time.Second
	liveLife = 45 * time.Second
)

// live sends an event whenever the order has changed (server-sent events). It
// carries no data of the order: the page asks for what it may see.
func (s *Server) live(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no")
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		ctx, cancel := context.WithTimeout(context.Background(), liveLife)
		defer cancel()
		tick := time.NewTicker(livePoll)
		defer tick.Stop()
		fmt.Fprintf(w, "retry: 2000\nevent: hello\ndata: %d\n\n", o.Rev)
		seen := o.Rev
		for w.Flush() == nil { // an error means that the page is gone
			select {
			case <-ctx.Done():
				return
			case <-s.closing:
				return
			case <-tick.C:
			}
			now, _, err := s.Store.Mark(ctx, o.ID)
			switch {
			case err != nil:
				return
			case now.Rev != seen:
				seen = now.Rev
				fmt.Fprintf(w, "event: changed\ndata: %d\n\n", seen)
			default:
				fmt.Fprint(w, ":\n\n")
			}
		}
	})
	return nil
}
