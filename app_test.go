package main

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/store"
)

// Reliability 9: a Redis that takes connections and never answers holds up nobody longer
// than he has time.
func TestSilentRedis(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	cfg := &config.Config{RedisURL: config.NewSecret("redis://" + silent.Addr().String())}
	if _, _, err := openRedis(ctx, cfg, time.Now); err == nil {
		t.Fatal("it answered")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("waited %s", took)
	}
}

// A command may run while the first start makes what a data directory lacks: all end
// with the same keyset and catalogue.
func TestFirstStartsTogether(t *testing.T) {
	cfg := &config.Config{Env: config.Development, DataDir: t.TempDir()}
	master := bytes.Repeat([]byte("k"), store.KeySize)
	keysets := make([][]byte, 8)
	var all sync.WaitGroup
	for i := range keysets {
		all.Go(func() {
			var err error
			if keysets[i], err = piiKeyset(cfg, master); err != nil {
				t.Errorf("keyset: %v", err)
			}
			if _, err := catalogue(cfg); err != nil {
				t.Errorf("catalogue: %v", err)
			}
		})
	}
	all.Wait()
	for _, k := range keysets {
		if !bytes.Equal(k, keysets[0]) {
			t.Error("two processes seal with different keysets")
		}
	}
}
