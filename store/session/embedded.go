package session

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// Embedded is a Redis inside this process, for one machine without a server.
// It keeps nothing on disk.
type Embedded struct {
	Client redis.UniversalClient

	server *miniredis.Miniredis
}

// NewEmbedded starts an in-process Redis without a port: nobody else can reach
// it, and a command costs no system call. It does not expire keys by itself: before a command it is
// moved forward to now, so that a key set after a jump of now outlives the jump.
func NewEmbedded(now func() time.Time) (*Embedded, error) {
	inside := miniredis.NewMiniRedis()
	clock := &follower{now: now, last: now(), forward: inside.FastForward}
	client := redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			c, err := inside.Dial()
			return newWire(c, inside.Server(), clock.follow), err
		},
		ReadTimeout: -2, WriteTimeout: -2, // no network, no timers
		Protocol: 2, // nothing is pushed that would have to be looked for before each answer
	})
	return &Embedded{Client: client, server: inside}, nil
}

// wire is a connection to the in-process Redis. Who reads an answer carries out himself
// what he has written, so that no goroutine waits for another.
type wire struct {
	net.Conn // what is neither written nor read
	server   *server.Server
	before   func() // a command
	peer     *server.Peer
	written  bytes.Buffer
	answers  bytes.Buffer
}

func newWire(c net.Conn, s *server.Server, before func()) *wire {
	w := &wire{Conn: c, server: s, before: before}
	w.peer = server.NewPeer(bufio.NewWriter(&w.answers))
	return w
}

// Write implements [net.Conn].
func (w *wire) Write(b []byte) (int, error) { return w.written.Write(b) }

// Read implements [net.Conn].
func (w *wire) Read(b []byte) (int, error) {
	if w.written.Len() > 0 {
		w.before()
	}
	for w.written.Len() > 0 {
		w.server.Dispatch(w.peer, w.command())
		w.peer.Flush()
	}
	return w.answers.Read(b)
}

// command takes one off what the client has written, like *2 $3 GET $3 key, a line each.
func (w *wire) command() []string {
	words := make([]string, w.number())
	for i := range words {
		words[i] = string(w.written.Next(w.number()))
		w.written.Next(len("\r\n"))
	}
	return words
}

// number takes a line like $3 off what was written.
func (w *wire) number() int {
	line := w.written.Next(bytes.IndexByte(w.written.Bytes(), '\n') + 1)
	n, _ := strconv.Atoi(string(line[1 : len(line)-len("\r\n")])) // our own client wrote it
	return n
}

// stride is how far the in-process Redis may lag behind. Moving it forward stops it
// for a moment that grows with its keys, so it is not done at every tick: what is
// stored with a deadline of its own is kept so much longer.
const stride = 5 * time.Second

// follower moves the in-process Redis forward before commands.
type follower struct {
	now     func() time.Time
	forward func(time.Duration)

	mu   sync.Mutex
	last time.Time
}

func (f *follower) follow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.now(); t.Sub(f.last) >= stride {
		f.forward(t.Sub(f.last))
		f.last = t
	}
}

// Close ends the server and the connection to it.
func (e *Embedded) Close() error {
	err := e.Client.Close()
	e.server.Close()
	return err
}
