package intent

import (
	"slices"
	"unicode/utf8"
)

// goingOn is how people go on to a second wish. 还有 alone also means what is left
// (还有几天) and 另外 what is extra (另外付费), so they count only where they cannot.
var goingOn = mustPattern(`[,，。;；、!?\s]*(?:顺便|顺带|顺道|对了|还有(?:一?件事|一?个事|一?个问题|,|就是|想问|我想|我要)|[,，。;；、!?\s]另外再?|[,，。;；、!?\s](?:同时|然后|再)(?:想|帮|问|查|看|说))`)

// alone are the intents that are the whole of a message: what stands beside one of
// them is part of it, or can wait until a person has called.
var alone = []Intent{
	BidSafety, Complaint, HumanAgent, BindAccount, SecurityAlert, Greeting, ThanksBye, OutOfScope,
	StaffQueue, StaffApprove, StaffReject, StaffAssign,
}

// minWish is how short a part of a text may be, in characters, and still be a wish.
const minWish = 3

// sure is the probability from which a part of a text is a wish.
const sure = 0.3

// wishes are the two things that a text wants which joins them in so many words; second
// is empty when one of them is to be called or to complain, which comes before anything
// else. ok is false for any other text.
func (r *Recogniser) wishes(e entities) (first, second Intent, ok bool) {
	at := goingOn.FindStringSubmatchIndex(e.rest)
	if at == nil {
		return "", "", false
	}
	of := func(part string) Intent {
		if utf8.RuneCountInString(part) < minWish {
			return OutOfScope
		}
		v := r.decide(entities{rest: part})
		if v.p < sure {
			return OutOfScope
		}
		return v.intent()
	}
	first, second = of(e.rest[:at[0]]), of(e.rest[at[1]:])
	for _, i := range []Intent{first, second} {
		if i == HumanAgent || i == Complaint {
			return i, "", true
		}
	}
	return first, second, first != second && !slices.Contains(alone, first) && !slices.Contains(alone, second)
}
