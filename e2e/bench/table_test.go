package main

import (
	"testing"
	"time"
)

// What is measured is what people get: the status of an order, and the answer with its
// data. A world that lacks a part answers that it is at fault. (silenceper's callback
// goes through fasthttp's adaptor, whose contexts race with its shutdown.)
func TestWhatIsMeasuredIsAnswered(t *testing.T) {
	w, err := embedded(t.Context(), t.TempDir())
	if w != nil {
		t.Cleanup(func() {
			if err := w.close(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	ours, err := w.listen(t.Context(), w.web.App)
	if err != nil {
		t.Fatal(err)
	}
	no := w.applicants[0].order.No
	tail := no[len(no)-4:]
	for _, r := range []row{
		w.orderStatus(statusLite, ours),
		w.callbackRow(liveOurs, ours, true, 64, tail),
	} {
		if s, err := r.measure(50 * time.Millisecond); err != nil || s.rate <= 0 {
			t.Errorf("%s: %.0f per second, %v", r.name, s.rate, err)
		}
	}
}
