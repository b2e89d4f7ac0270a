package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// connections is how many clients ask at once, each over its own connection.
const connections = 32

// listen serves app on a free loopback port until the world ends.
func (w *world) listen(ctx context.Context, app *fiber.App) (addr string, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go app.Listener(l) //nolint:errcheck // a server that ends makes its row fail
	w.closers = append(w.closers, app.Shutdown)
	return l.Addr().String(), nil
}

// request is one prepared HTTP request.
type request struct {
	path   []byte
	cookie string
	body   []byte // a POST when there is one
}

// httpRow asks the server at addr. requests makes the requests of a round; they
// are used in turn, and once only when once says so. check looks at one answer
// in every round.
func httpRow(name, addr string, once bool, requests func() ([]request, error), check func(body []byte) error) row {
	client := &fasthttp.HostClient{Addr: addr, MaxConns: connections, NoDefaultUserAgentHeader: true}
	reqs, resps := make([]fasthttp.Request, connections), make([]fasthttp.Response, connections)
	var todo []request
	return row{
		name: name, workers: connections,
		prepare: func() (limit int, err error) {
			if todo, err = requests(); once {
				limit = len(todo)
			}
			return limit, err
		},
		do: func(worker, n int) error {
			r, req, resp := todo[n%len(todo)], &reqs[worker], &resps[worker]
			req.Reset()
			req.Header.SetHost(addr)
			req.SetRequestURIBytes(r.path)
			if r.cookie != "" {
				req.Header.Set(fasthttp.HeaderCookie, r.cookie)
			}
			if r.body != nil {
				req.Header.SetMethod(http.MethodPost)
				req.Header.SetContentType("text/xml")
				req.SetBodyRaw(r.body)
			}
			if err := client.Do(req, resp); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if resp.StatusCode() != http.StatusOK {
				return fmt.Errorf("%s: status %d: %s", name, resp.StatusCode(), resp.Body())
			}
			if n == 0 {
				return check(resp.Body())
			}
			return nil
		},
	}
}

// holds checks that an answer holds some text.
func holds(text string) func([]byte) error {
	return func(body []byte) error {
		if !bytes.Contains(body, []byte(text)) {
			return fmt.Errorf("answer without %q: %s", text, body)
		}
		return nil
	}
}

// helloRow asks for the least that fiber can do.
func helloRow(addr string) row {
	return httpRow(hello, addr, false, func() ([]request, error) { return []request{{path: []byte("/")}}, nil }, holds("hello"))
}

// orderStatus asks for orders by their owners, each with the cookies of a login.
func (w *world) orderStatus(name, addr string) row {
	var requests []request
	for _, a := range w.applicants {
		requests = append(requests, request{
			path:   []byte("/api/v1/orders/" + string(a.order.ID)),
			cookie: "ycd_browser=" + a.session.CSRF + "; ycd_applicant=" + a.session.ID,
		})
	}
	return httpRow(name, addr, false, func() ([]request, error) { return requests, nil }, holds(w.applicants[0].order.No))
}

// beside measures r while so many connections to addr say nothing, every other one after
// half a request (reliability 27).
func beside(idle int, addr string, r row) row {
	var conns []net.Conn
	prepare := r.prepare
	r.prepare = func() (int, error) {
		for n := range idle {
			c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
			if err != nil {
				return 0, fmt.Errorf("idle connection %d of %d (`ulimit -Hn` has to allow both ends): %w", n+1, idle, err)
			}
			conns = append(conns, c)
			if n%2 == 0 {
				if _, err := io.WriteString(c, "GET /login HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
					return 0, err
				}
			}
		}
		return prepare()
	}
	r.after = func() {
		for _, c := range conns {
			_ = c.Close()
		}
		conns = nil
	}
	return r
}
