package e2e

import (
	"net/http"
	"testing"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

// Messages that WeChat did not send, or sent before, change nothing: the number
// below is texted a code once, and only for the genuine message.
func TestHostileCallbacks(t *testing.T) {
	t.Parallel()
	_, world := product(t)
	mobile := story.Application()["agent.mobile"]
	const persona = "王小琪"
	said, err := world.Chat(t.Context(), persona, mobile)
	if err != nil || len(said.Replies) != 1 {
		t.Fatalf("the genuine message: %+v, %v", said, err)
	}
	for _, tt := range []struct {
		mode string
		want int
	}{
		{"forged", http.StatusForbidden},
		{"stale", http.StatusForbidden},
		{"plain", http.StatusForbidden},
		{"replay", http.StatusOK}, // as WeChat's own retries: answered again, done once
	} {
		x, err := world.Push(t.Context(), persona, tt.mode)
		if err != nil {
			t.Fatal(err)
		}
		if len(x.Attempts) != 1 || x.Attempts[0].Status != tt.want {
			t.Errorf("%s: %+v, want HTTP %d", tt.mode, x.Attempts, tt.want)
		}
	}
	texts, err := world.SMS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) != 1 || texts[0].Mobile != mobile {
		t.Errorf("%d messages were texted, want 1: %+v", len(texts), texts)
	}
}
