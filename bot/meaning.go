package bot

import (
	"crypto/sha256"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/yuncaidun/yuncaidun/bot/intent"
)

// maxMeanings bounds how many sentences are remembered, of some hundred bytes each.
const maxMeanings = 4096

// meanings remembers what sentences mean that people send word for word: what a menu, a
// button or an answer of ours suggests, and 你好. It keeps a sentence's hash, and only
// sentences that name nothing: who types a number or a company is understood anew.
type meanings struct {
	recogniser *intent.Recogniser
	known      *lru.Cache[[sha256.Size]byte, intent.Result]
}

func newMeanings(r *intent.Recogniser) meanings {
	known, _ := lru.New[[sha256.Size]byte, intent.Result](maxMeanings) // fails for a size below 1
	return meanings{r, known}
}

// of tells what a text means.
func (m meanings) of(text string) intent.Result {
	key := sha256.Sum256([]byte(text))
	if known, ok := m.known.Get(key); ok {
		known.Slots = intent.Slots{} // the caller's own
		return known
	}
	meant := m.understand(text)
	if len(meant.Slots) == 0 && len(meant.Also) == 0 && meant.Intent != intent.SecurityAlert {
		m.known.Add(key, meant)
	}
	return meant
}

// understand takes the name of a thing, and the question who has one, as a whole; all else
// are wishes, which [intent.Recogniser.Recognise] tells apart.
func (m meanings) understand(text string) intent.Result {
	if i, ok := nouns[strings.ToUpper(text)]; ok {
		return intent.Result{Intent: i, Slots: intent.Slots{}, Understood: true}
	}
	if whoHas(text) {
		return intent.Result{Intent: intent.CertExpiry, Slots: intent.Slots{}, Understood: true}
	}
	return m.recogniser.Recognise(text)
}
