package session

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
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
	server := miniredis.NewMiniRedis()
	client := redis.NewClient(&redis.Options{
		Dialer:      func(context.Context, string, string) (net.Conn, error) { return server.Dial() },
		ReadTimeout: -2, WriteTimeout: -2, // no network, no timers
		Protocol: 2, // nothing is pushed that would have to be looked for before each answer
	})
	client.AddHook(&follower{now: now, last: now(), forward: server.FastForward})
	return &Embedded{Client: client, server: server}, nil
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

// DialHook implements [redis.Hook].
func (*follower) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (f *follower) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		f.follow()
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (f *follower) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		f.follow()
		return next(ctx, cmds)
	}
}

// Close ends the server and the connection to it.
func (e *Embedded) Close() error {
	err := e.Client.Close()
	e.server.Close()
	return err
}
