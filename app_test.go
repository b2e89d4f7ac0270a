package main

import (
	"bytes"
	"sync"
	"testing"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/store"
)

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
