package handlers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Reliability 27: 5,000 connections that say nothing, or half a request and never
// the rest, do not stop healthy traffic. `make bench` has what they cost it.
func TestIdleConnections(t *testing.T) {
	const idle = 5000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = files.Max // both ends are in this process
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < 2*idle+1000 {
		t.Fatalf("%d files may be open, %v: raise the limit to %d", files.Cur, err, 2*idle+1000)
	}
	w := newWeb(t)
	at := w.listening(t)
	for n := range idle {
		c := dial(t, at)
		if n%2 == 0 {
			say(t, c, slowloris)
		}
	}
	client := &http.Client{Timeout: time.Minute}
	for range 100 {
		resp, err := client.Get("http://" + at + "/login")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("healthy traffic is answered %d", resp.StatusCode)
		}
	}
	if open := w.App.Server().GetOpenConnectionsCount(); open <= idle {
		t.Errorf("%d connections stood, want the idle ones and ours", open)
	}
}

// Reliability 27: the server lets go by itself of who says nothing, who says half a
// request, and who has been answered and says nothing more. Here it does so soon.
func TestLetsGo(t *testing.T) {
	w := newWeb(t)
	c := w.App.Config()
	for name, limit := range map[string]time.Duration{"reading": c.ReadTimeout, "writing": c.WriteTimeout, "being idle": c.IdleTimeout} {
		if limit <= 0 || limit > 2*time.Minute {
			t.Errorf("%s may take %s", name, limit)
		}
	}
	if c.BodyLimit <= 0 || c.ReadBufferSize <= 0 || c.ReadBufferSize > 64<<10 {
		t.Errorf("body limit %d, header limit %d", c.BodyLimit, c.ReadBufferSize)
	}
	w.App.Server().ReadTimeout, w.App.Server().IdleTimeout = 100*time.Millisecond, 100*time.Millisecond
	at := w.listening(t)
	for name, words := range map[string]string{
		"nothing is said": "", "half a header": slowloris,
		"half a body": "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\na=b", "answered": "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, at)
			say(t, c, words)
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stands after a minute")
			}
		})
	}
}

// slowloris is a request that never ends.
const slowloris = "GET /login HTTP/1.1\r\nHost: x\r\nX-Slow: "

func say(t *testing.T, c net.Conn, words string) {
	t.Helper()
	if _, err := io.WriteString(c, words); err != nil {
		t.Fatal(err)
	}
}

// Reliability 27: a header beyond the limit is refused, and so is a request that says its
// length twice (RFC 9112 §6.3): what follows is never taken for another request.
func TestSmuggling(t *testing.T) {
	w := newWeb(t)
	for name, raw := range map[string]string{
		"an oversized header": "GET /login HTTP/1.1\r\nHost: x\r\nX-Big: " + fmt.Sprintf("%0100000d", 1) + "\r\n\r\n",
		"two lengths":         "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\na=b&cGET /help HTTP/1.1\r\nHost: x\r\n\r\n",
		"length and chunks":   "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /help HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c := w.dial(t)
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = c.Write([]byte(raw)) }()
		in := bufio.NewReader(c)
		answers := 0
		for {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				break
			}
			answers++
			if resp.StatusCode < http.StatusBadRequest {
				t.Errorf("%s: answer %d is %d", name, answers, resp.StatusCode)
			}
			if resp.Close {
				break
			}
			resp.Body.Close()
		}
		if answers != 1 {
			t.Errorf("%s: %d answers", name, answers)
		}
	}
}

// Reliability 19: logging in tells nobody whether a mobile is known, neither in the
// answer nor in its time: the medians of 2,000 samples differ by less than 5 ms.
func TestLoginTakesTheSameTime(t *testing.T) {
	w := newWeb(t)
	w.holder()
	b := w.browser()
	b.get("/login?mode=sms")
	var times [2][]time.Duration
	var answers [2]string
	for n := range 2000 {
		who := n % 2
		mobile := []string{agentMobile, "13911112222"}[who]
		w.clock.advance(time.Minute) // no limit is met
		began := time.Now()
		a := b.post("/login", map[string][]string{"mobile": {mobile}, "code": {"000000"}})
		times[who] = append(times[who], time.Since(began))
		answers[who] = fmt.Sprint(a.Status, volatile.ReplaceAllString(a.Body, ""))
	}
	for _, t := range times {
		slices.Sort(t)
	}
	known, unknown := times[0][len(times[0])/2], times[1][len(times[1])/2]
	t.Logf("known %s, unknown %s", known, unknown)
	if d := (known - unknown).Abs(); d >= 5*time.Millisecond {
		t.Errorf("the medians differ by %s", d)
	}
	if len(answers[0]) != len(answers[1]) {
		t.Errorf("the answers differ:\n%s\n%s", answers[0], answers[1])
	}
}
