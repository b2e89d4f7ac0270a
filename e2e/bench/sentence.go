package main

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/yuncaidun/yuncaidun/bot/intent"
)

// sentenceRow understands the sentences of all evaluation sets, one after the other:
// what the recogniser alone costs a message.
func sentenceRow() (row, error) {
	files, err := filepath.Glob("bot/intent/*/*.tsv")
	if err != nil {
		return row{}, err
	}
	var sentences []string
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // of the sources
		if err != nil {
			return row{}, err
		}
		for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
			if s, _, ok := strings.Cut(lines.Text(), "\t"); ok && s != "utterance" {
				sentences = append(sentences, s)
			}
		}
	}
	if len(sentences) == 0 {
		return row{}, errors.New("no evaluation sets below bot/intent: run from the folder of the sources")
	}
	r, err := intent.New()
	return row{name: sentence, workers: 1, do: func(_, n int) error {
		r.Recognise(sentences[n%len(sentences)])
		return nil
	}}, err
}
