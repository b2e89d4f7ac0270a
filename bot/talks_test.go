package bot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// memoryTalks is Talks in process.
type memoryTalks struct {
	mu      sync.Mutex
	claimed map[string]bool
	answers map[string][]byte
	talks   map[string][]byte
}

func newMemoryTalks() *memoryTalks {
	return &memoryTalks{claimed: map[string]bool{}, answers: map[string][]byte{}, talks: map[string][]byte{}}
}

func (r *memoryTalks) Begin(_ context.Context, message, person string) (bool, []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.claimed[message]
	r.claimed[message] = true
	return first, r.talks[person], nil
}

func (r *memoryTalks) End(_ context.Context, message, person string, answer, memory []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[message] = bytes.Clone(answer)
	if memory != nil {
		r.talks[person] = memory
	}
	return nil
}

func (r *memoryTalks) Answer(_ context.Context, message string) ([]byte, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.answers[message]
	return a, ok, nil
}

// What a reply wants remembered comes with the same person's next message, and with
// nobody else's.
func TestMemoryComesWithTheNextMessage(t *testing.T) {
	app := newApp(t, AnswerFunc(func(_ context.Context, m Message) (Reply, error) {
		if m.Content == "leave" {
			return Reply{Text: "left " + string(m.Memory)}, nil
		}
		return Reply{Text: "was " + string(m.Memory), Memory: []byte(m.Content)}, nil
	}), newMemoryTalks())
	for i, step := range []struct{ text, want string }{{"a", "was "}, {"b", "was a"}, {"leave", "left b"}, {"c", "was b"}} {
		_, body := do(t, app, newClient().request(t, messageXML(testAccount.OriginalID, step.text, strconv.Itoa(900+i))))
		if got := newClient().openReply(t, body); !strings.Contains(got, "["+step.want+"]]>") {
			t.Errorf("%s: reply %s, want %q", step.text, got, step.want)
		}
	}
}

// Reliability 9: without Redis a message is answered, though nothing is remembered.
func TestWithoutTalks(t *testing.T) {
	app := newApp(t, AnswerFunc(echo), brokenTalks{})
	for range 2 {
		_, body := do(t, app, newClient().request(t, textXML("hi")))
		if got := newClient().openReply(t, body); !strings.Contains(got, "hi") {
			t.Errorf("reply %s", got)
		}
	}
}

// Reliability 9: a Redis that takes and never answers delays the answer, and no more.
func TestHangingTalks(t *testing.T) {
	_, body := do(t, newApp(t, AnswerFunc(echo), hangingTalks{t: t}), newClient().request(t, textXML("hi")))
	if got := newClient().openReply(t, body); !strings.Contains(got, "hi") {
		t.Errorf("reply %s", got)
	}
	_, body = do(t, newApp(t, AnswerFunc(echo), hangingTalks{t: t, begins: true}), newClient().request(t, textXML("hi")))
	if got := newClient().openReply(t, body); !strings.Contains(got, "hi") {
		t.Errorf("reply %s", got)
	}
}

type hangingTalks struct {
	brokenTalks
	t      testing.TB
	begins bool
}

func (h hangingTalks) Begin(ctx context.Context, _, _ string) (bool, []byte, error) {
	if h.begins {
		return true, nil, nil
	}
	return false, nil, h.hang(ctx)
}

func (h hangingTalks) End(ctx context.Context, _, _ string, _, _ []byte) error { return h.hang(ctx) }

func (h hangingTalks) hang(ctx context.Context) error {
	if _, ends := ctx.Deadline(); !ends {
		h.t.Error("we would wait for ever")
		return errAway
	}
	<-ctx.Done()
	return ctx.Err()
}

type brokenTalks struct{}

func (brokenTalks) Begin(context.Context, string, string) (bool, []byte, error) {
	return false, nil, errAway
}

func (brokenTalks) End(context.Context, string, string, []byte, []byte) error { return errAway }

func (brokenTalks) Answer(context.Context, string) ([]byte, bool, error) { return nil, false, errAway }

// Reliability 4: the same message has one effect and one answer, also when all
// attempts arrive at once; another message has its own.
func TestRepeatsHaveOneEffect(t *testing.T) {
	for name, doc := range map[string]string{
		"message": textXML("hi"),
		"event": "<xml><ToUserName>gh_10f6c3c3ac5a</ToUserName><FromUserName>" + testOpenID +
			"</FromUserName><CreateTime>1409735668</CreateTime><MsgType>event</MsgType><Event>CLICK</Event><EventKey>orders</EventKey></xml>",
	} {
		t.Run(name, func(t *testing.T) {
			var effects atomic.Int32
			app := newApp(t, AnswerFunc(func(context.Context, Message) (Reply, error) {
				return Reply{Text: fmt.Sprint("effect ", effects.Add(1))}, nil
			}), newMemoryTalks())
			answers := make([]string, 20)
			var wg sync.WaitGroup
			for i := range answers {
				req := newClient().request(t, doc)
				wg.Go(func() {
					resp, err := app.Test(req, -1)
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					body, _ := io.ReadAll(resp.Body)
					answers[i] = newClient().openReply(t, body)
				})
			}
			wg.Wait()
			if n := effects.Load(); n != 1 {
				t.Fatalf("%d effects", n)
			}
			for _, a := range answers {
				if a != answers[0] || !strings.Contains(a, "effect 1") {
					t.Fatalf("answers differ: %q", a)
				}
			}
			_, body := do(t, app, newClient().request(t, messageXML(testAccount.OriginalID, "hi", "77")))
			if got := newClient().openReply(t, body); !strings.Contains(got, "effect 2") {
				t.Fatalf("another message got %q", got)
			}
		})
	}
}

// A retry that finds the first attempt still at work gets success in time.
func TestRetryOfAStuckAttempt(t *testing.T) {
	r := newMemoryTalks()
	m := Message{ID: 6054768590064713728}
	if _, _, err := r.Begin(t.Context(), m.dedupKey(), ""); err != nil {
		t.Fatal(err)
	}
	code, body := do(t, newApp(t, AnswerFunc(echo), r), newClient().request(t, textXML("hi")))
	if code != 200 || string(body) != "success" {
		t.Fatalf("%d %q", code, body)
	}
}
