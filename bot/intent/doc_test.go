package intent

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/bot.md")

const page = "../../docs/bot.md"

const docHead = `# What the bot understands

Generated from the sets below: ` + "`go test ./bot/intent -run Page -update`" + `. ` + "`yuncaidun bot eval FILE`" + ` measures any file of
sentences, ` + "`yuncaidun bot explain SENTENCE`" + ` shows what decided.

What is typed in pinyin is first read as characters (` + "`typed.go`" + `); English, dialects and pictures are put into the words that the rest knows (` + "`other.txt`" + `). Patterns take the entities out (order
numbers, serials, dates …), clauses that say what somebody does *not* want or takes back and courtesies are left out, and the lexicon finds words, also by
sound, and turns them into concepts. Leaks and plain attacks are decided at once, for they must not be missed; everything else is decided by a linear
model (maximum entropy) over concepts, their pairs, runs of one to three characters and of two syllables, those of the last clause once more, in doubt for what is worse to miss
([ADR 0031](adr/0031-what-is-worse-to-miss.md)). Its weights (` + "`weights.bin`" + `) are trained on the examples by
` + "`go test ./bot/intent -run Weights -update`" + `. Of two wishes that are joined in so many words (查下订单，顺便问下多少钱) the first
is answered and the second named as the next step. Nothing is random: the same sentence always gets the same answer.

What names a thing and no wish (我的证书), or asks word for word who has a USBKEY (谁拿着我的U盾, U盾借给谁了), the dialogue takes for the list of certificates before it
asks the recogniser (` + "`bot/menu.go`, `bot/dialogue_cabinet.go`" + `): no intent is theirs, and no sentence of the sets is one of them.

To teach it something, add a line to a file in ` + "`bot/intent/examples`" + `, or a word to ` + "`lexicon.txt`" + `, and train it again.

## First sight

What the recogniser made of sentences when it saw them for the first time. Afterwards their mistakes were looked at, class by
class, so that "Now" below flatters it on these sets; a way of writing nobody has thought of is nearer to the figures here. Each set
is split by way of writing, not by line, so that a way of writing is new and not merely a sentence.

| set | ways of writing | intents | slots |
|---|---|---|---|
| ways-a, by rules and naive Bayes (the recogniser before this one) | terse, office, voice, angry | 200/227 = 0.881 | 212/227 = 0.934 |
| ways-a, by the vote, nothing else changed | the same | 218/227 = 0.960 | |
| ways-b, by the vote | elderly, dialect, jargon | 128/160 = 0.800 | 153/160 = 0.956 |
| ways-c, by the vote after both sets' mistakes were looked at | plain, typo, denied, wordy | 139/144 = 0.965 | 142/144 = 0.986 |
| ways-d, nothing else changed | runon, region, emoji, mixed, brief, double, ime, long | 406/485 = 0.837 | 468/485 = 0.965 |
| ways-e, after ways-d's mistakes were looked at | chat, letter, kid, english | 96/101 = 0.950 | 100/101 = 0.990 |
| ways-f, nothing else changed | bidrush, bookkeeper, forwarded, identifiers, negation, short, situation, voice | 334/392 = 0.852 | 361/392 = 0.921 |
| ways-g, nothing else changed | context, dialect, double, elder, filler, mixed, rhetorical, typo | 306/369 = 0.829 | 347/369 = 0.940 |
| ways-g, held out, by the linear model trained on everything else, after ways-f's mistakes were looked at | the same | 347/369 = 0.940 | 355/369 = 0.962 |
| ways-h, by another writer, nothing changed since | plain (as in the shared utterances), hard (indirect, dialect, typos, denials) | 342/349 = 0.980 (plain 228/229, hard 114/120) | 333/349 = 0.954 |
| ways-i, by a fourth writer, nothing changed since | critical (what must not be missed, and what only looks like it), plain, hard | 335/349 = 0.960 (critical 184/193, plain 77/77, hard 74/79) | 318/349 = 0.911 (critical 167/193, plain 74/77, hard 77/79) |
| ways-j, by a fifth writer, after ways-g to ways-i were learnt | exam (as in the shared utterances), street (customers on their phones), staff (decisions, leaks, revocations and their neighbours) | 366/369 = 0.992 (exam 173/173, street 117/118, staff 76/78) | 358/369 = 0.970 (exam 167/173, street 113/118, staff 78/78) |
| ways-k, by a sixth writer, nothing changed since | office (polite, indirect), hard, lookalike (the words of what must not be missed, another wish) | 348/366 = 0.951 | 353/366 = 0.964 |
| ways-l, by the same, nothing changed since | street (short, spoken, dialect), hard, lookalike, pinyin | 382/417 = 0.916 | 399/417 = 0.957 |
| ways-l, pinyin read as characters, nothing else changed | the same | 398/417 = 0.954 | |
| ways-m, by a seventh writer, after ways-j to ways-l were learnt | critical (what must not be missed), lookalike, hard, plain | 434/456 = 0.952 (critical 171/178, lookalike 41/52, hard 109/113, plain 113/113) | 443/456 = 0.971 |
| ways-n, by an eighth writer, after ways-m was learnt | critical (alarms in sixty situations, revocations, decisions), plain (a quarter of it lookalikes) | 209/240 = 0.871 (critical 89/115, plain 120/125) | 226/240 = 0.942 |
| ways-n, after 290 sentences about its situations, and before it was learnt itself | the same | 226/240 = 0.942 | |
| ways-o, by a ninth writer in twelve roles, by the recogniser that ways-n had been shown to | critical, plain | 204/216 = 0.944 (critical 79/85, plain 125/131) | 197/216 = 0.912 |
| ways-o, after ways-n and those sentences were learnt, nothing else changed | the same | 210/216 = 0.972 (critical 85/85, plain 125/131) | 199/216 = 0.921 |
| ways-p, by a tenth writer, after ways-o was learnt | every intent six times and more, what must not be missed more often | 252/260 = 0.969 (out_of_scope 11/15, all others 241/245) | 232/260 = 0.892 |
| ways-q, by an eleventh writer, nothing changed since | twelve ways of writing, 40 of 300 about something else | 279/300 = 0.930 (out_of_scope 23/40, all others 256/260) | 297/300 = 0.990 |
| ways-q, after 330 sentences of other matters, which its writer had not seen, nothing else changed | the same | 285/300 = 0.950 (out_of_scope 28/40, all others 257/260) | 297/300 = 0.990 |
| ways-r, by a twelfth writer in forty situations, by the recogniser that ways-o had been shown to | as often as in the shared utterances, a third harder | 293/300 = 0.977 | 291/300 = 0.970 |
| ways-r, after the same 330 sentences, nothing else changed | the same | 297/300 = 0.990 | 292/300 = 0.973 |
| ways-s, by a thirteenth writer, after ways-p to ways-r were learnt | two thirds hard; 40 of 300 about something else | 290/300 = 0.967 (out_of_scope 34/40, all others 256/260) | 300/300 = 1.000 |
| ways-t, by a fourteenth writer, after ways-s was learnt | every intent in six ways of writing (voice, slang, dialect, letter, techmix, typo), 80 commands of staff | 410/420 = 0.976 | 386/420 = 0.919 |
| ways-u, by a fifteenth writer, by the recogniser before ways-t was learnt | every intent in seven ways of writing (cantonese, complain, forward, fragments, nonnative, telegram, voice) | 392/400 = 0.980 | |
| ways-u, after ways-t was learnt, nothing else changed | the same | 393/400 = 0.983 | 384/400 = 0.960 |
| ways-v, by a sixteenth writer, after ways-u was learnt | alarm, revoke, staff, lookalike (the words of those three, another wish), long, plain, out_of_scope | 568/584 = 0.973 (alarm 129/132, revoke 66/67, staff 107/108, lookalike 99/105, long 37/40, plain 96/98, out_of_scope 34/34) | 575/584 = 0.985 |
| ways-v, after ways-w was learnt, nothing else changed | the same | 568/584 = 0.973 | 576/584 = 0.986 |
| ways-w, by a seventeenth writer, after ways-u was learnt | critical (seventy alarms in seventy situations, revocations, decisions), lookalike, plain | 245/260 = 0.942 (critical 129/140, lookalike 36/40, plain 80/80) | 256/260 = 0.985 |
| ways-x, by an eighteenth writer, after ways-w was learnt | alarm (130 in as many situations), revoke, staff, lookalike, other | 408/420 = 0.971 (alarm 120/130, revoke 50/50, staff 70/70, lookalike 59/60, other 109/110) | 416/420 = 0.990 |
| ways-y, by a nineteenth writer at the same time | as often as in the shared utterances, half of it hard; 40 of 400 about something else | 382/400 = 0.955 (out_of_scope 32/40, all others 350/360) | 390/400 = 0.975 |
| ways-z, by a twentieth writer, after ways-y was learnt | alarm, revoke, staff, lookalike, out_of_scope, other (spoken, dialect, typos, letters, denials, forwarded, unfinished) | 404/420 = 0.962 (alarm 67/70, revoke 29/30, staff 39/40, lookalike 28/30, out_of_scope 32/37, other 209/213); as its writer labelled it 399/420 = 0.950 | 409/420 = 0.974; as labelled 369/420 = 0.879 |
| ways-za, by another writer, by the same recogniser | alarm, revoke, staff, lookalike, in 56 ways of writing | 288/300 = 0.960 (alarm 93/100, revoke 49/50, staff 93/95, lookalike 53/55); as labelled 284/300 = 0.947 | 296/300 = 0.987; as labelled 261/300 = 0.870 |
| ways-za, after ways-z was learnt, nothing else changed | the same | 292/300 = 0.973 (alarm 96/100, revoke 49/50, staff 94/95, lookalike 53/55); as labelled 288/300 = 0.960 | 296/300 = 0.987 |
| ways-zb, by a twenty-first writer in thirty ways of writing, by the recogniser that ways-za had been shown to | all intents | 384/437 = 0.879; as labelled 383/437 = 0.876 | 419/437 = 0.959; as labelled 381/437 = 0.872 |
| ways-zb, with the last clause, dropped features and half a word by sound ([ADR 0031](adr/0031-what-is-worse-to-miss.md)) | the same | 389/437 = 0.890; as labelled 387/437 = 0.886 | 420/437 = 0.961 |
| ways-zb, after 2 197 sentences of three writers who had not seen it | the same | 396/437 = 0.906; as labelled 394/437 = 0.902 | 421/437 = 0.963; as labelled 383/437 = 0.876 |
| ways-zc, by another writer in 24 ways, by the recogniser that ways-za had been shown to | alarm, revoke, staff and what looks like them | 308/340 = 0.906; as labelled 302/340 = 0.888 | 323/340 = 0.950; as labelled 301/340 = 0.885 |
| ways-zc, with the last clause, dropped features and half a word by sound | the same | 316/340 = 0.929; as labelled 310/340 = 0.912 | 329/340 = 0.968 |
| ways-zc, after the same sentences | the same | 318/340 = 0.935; as labelled 312/340 = 0.918 | 327/340 = 0.962; as labelled 305/340 = 0.897 |
| ways-zd, by a further writer, after ways-zb and ways-zc were learnt; as labelled, nothing touched | ten sentences of each intent, half of them plain, a third spoken, in dialect or with typos, the rest odd | 329/340 = 0.968 | 330/340 = 0.971 |
| ways-ze, by another writer, after ways-zd was measured; as labelled, nothing touched | ordinary sentences of every intent in eighteen ways (pinyin initials, dialects, office, English), 64 of what must not be missed and 64 of what looks like it | 429/447 = 0.960 | 438/447 = 0.980 |
| ways-zf, by another writer, nothing changed since ways-ze was learnt; as labelled, nothing touched | every intent in twenty ways of writing, 70 of what must not be missed and 50 of what looks like it | 425/440 = 0.966 | 429/440 = 0.975 |
| ways-zg, by another writer, by the same recogniser; as labelled, nothing touched | as an examiner would write the other half of the shared utterances | 399/400 = 0.998 | 389/400 = 0.973 |

By way, at that first sight (intents, slots): bidrush 0.837 0.791, bookkeeper 0.841 0.932, forwarded 0.705 0.932, identifiers 0.852 0.833,
negation 0.778 1.000, short 1.000 1.000, situation 0.739 0.935, voice 0.977 0.932; context 0.783 0.935, dialect 0.833 0.938, double 0.841 0.955,
elder 0.864 1.000, filler 0.739 0.870, mixed 0.878 0.939, rhetorical 0.705 0.932, typo 0.979 0.979. The linear model, before anybody had looked
at ways-g: context 1.000, dialect 0.979, double 0.977, elder 0.977, filler 0.739, mixed 0.939, rhetorical 0.909, typo 1.000. Its mistakes in filler
were then seen: courtesies outweighed the wish, and are left out since.

What must not be missed, in ways-i at that first sight: security_alert 25 of 28, revoke 28 of 28, staff_queue 19 of 20, staff_approve 22 of 24,
staff_reject 22 of 22, staff_assign 19 of 19; false alarms: security_alert 2, staff_approve 1, staff_reject 1. Missed were PINs and codes told in
words or digit by digit, an English queue, and decisions beside one that is taken back (0108别驳回了 通过吧). Slots were wrong where two orders are
named, and where a kind of business, a name or a reason stands in the sentence of an intent that had no such slot. Three dates of ways-i, which
its writer had worked out, are now as they were written: the recogniser knows no calendar.

Since then ways-g, ways-h and ways-i have been learnt, with 200 sentences of their shapes (` + "`examples/shapes.tsv`" + `). ways-j, written
afterwards, is not: of its 102 sentences that must not be missed none was, and two others were taken for such (转给人工处理 for staff_assign, 注销账号，不是注销证书
for revoke).

In ways-k and ways-l at first sight security_alert was found 64 times of 76, revoke 63 of 67, staff commands 98 of 99. Missed were fraud by money
or by an impostor, of which little had been taught, a universal password, a freeze because a PIN had been told, and pinyin. Both sets and ways-j have been
learnt since, with 230 sentences of such kinds (` + "`examples/strangers.tsv`" + `, ` + "`examples/cares.tsv`" + `). Thirteen of their slots were
then labelled as the other sets have them: dates as they were written, reasons, a code that was told. In ways-m, which came after that, security_alert was
found 61 times of 66, revoke 44 of 46, staff commands 66 of 66; what was told of a lost or revoked key with a question beside it was taken for the wish (锁丢了去补办，正常几天能好).
It is learnt, too.

ways-n asked for what nobody had taught: that somebody who left still signs, a contract nobody signed, a mouse that moves by itself, a seal that was opened, a court that
wants the key. Of its 60 alarms 35 were found. What such alarms say was then written down (` + "`examples/alarms.tsv`" + `, 200 alarms and 90 sentences that sound like
one), and words for it (malware, what was never done, what was done behind somebody's back). ways-o, whose writer saw none of this, says what it was worth:
security_alert 35 of 35 (before 29), revoke 20 of 20, staff commands 30 of 30, one false alarm. Most slots that count as wrong in both sets are values that their
writers left out or wrote another way; all that they name were found in 232 of 240 and 211 of 216. Twenty are now labelled as in the other sets. Both sets are learnt since.

ways-p to ways-r were written at once by three writers who saw neither this nor each other. What must not be missed: security_alert 83 of 85, revoke 58 of 58, staff commands
102 of 102; false alarms: revoke 2, security_alert 1, staff_approve 1. Weak was what is no business of ours but has its words (a bicycle's lock, a bank's U盾, a taxi's invoice): 630
sentences of such (` + "`examples/offtopic.tsv`" + `, ` + "`examples/offtopic2.tsv`" + `) are learnt since, and the three sets. Of their slots 28 are now labelled as the other sets have them: above
all secrets that ways-p's writer did not name as leaks, reasons of rejection in the catalogue's words, and two freezes that he had called lost_reissue.
In ways-s, which came after that, security_alert was found 30 times of 30, revoke 20 of 20, staff commands 36 of 36. Its foreign papers and shops are words now
(offtopic in lexicon.txt), and it is learnt, too.

In ways-t security_alert was found 24 times of 25, revoke 23 of 23, staff commands 78 of 80; false alarms: revoke 2, security_alert 1. As its writer labelled it, it came to 407 intents and 349
slots: 47 of his slots and three freezes that he had called lost_reissue are now labelled as the other sets have them (order_no_tail, urgency, reasons in the catalogue's words or none, documents
only where they decide). Names after a title or a relation, commands without a verb between number and name, dates of two events in two clauses and reasons in other words were missed; they
have been taught since, and it is learnt.

In ways-u, which came after that, security_alert was found 22 times of 25, revoke 20 of 20, staff commands 70 of 72, without a false alarm; nine of its slots are now labelled as the other sets have
them (375 were right before). Missed were secrets told in the words of a telegram, and who takes a task himself (0127我来领). It is learnt, with sentences of such kinds and thirty about what went
before the wish: some were written with the mistakes in ways-f and ways-g in sight when these were left out, so that their figures below are a little better than they were.

In ways-v security_alert was found 135 times of 139, revoke 70 of 71, staff commands 114 of 115; false alarms: revoke 3, security_alert 1, staff_approve 1. Seventeen of its slots are labelled as in the other sets
(558 were right before). A surname that is a measure word (0748 张三丰) was read as a quantity. It is learnt, too.

ways-w asked again for alarms that nobody had taught: a USBKEY that a partner does not give back, a password on a photograph, a stolen mobile, a binding that somebody changed in secret, an
authorisation nobody asked for, an empty parcel. security_alert was found 59 times of 70, revoke 30 of 30, staff commands 40 of 40; four alarms were taken for a wish to revoke, and one question each for an alarm and a revocation. What people fear without asking
for anything was then written down (` + "`examples/worries.tsv`" + `, 70 alarms and 50 sentences that sound like one), and the set is learnt; eight of its slots are labelled as in the other sets.

ways-x and ways-y were written at once by two writers who saw neither this nor each other. In ways-x security_alert was found 120 times of 130, with one false alarm (谢谢提醒 我不会告诉别人密码的); in ways-y 11 of 11, with one,
and revoke 57 of 57, staff commands 92 of 92 in both. Missed were what somebody did who is no swindler in so many words (a repairman who photographs the seal, a pointer that moves, a stranger who collects keys). Fourteen slots of ways-x (reasons told in
words, of which its writer gave the code) and two of ways-y are labelled as in the other sets. Surnames (龚, 樊), terms in weeks and in months and days, trades and particles behind a name were missed among the slots. Both are learnt, with 70 worries and 60
other sentences of their shapes.

In ways-z security_alert was found 64 times of 67, revoke 33 of 34, staff commands 39 of 40; false alarms: revoke 3, staff commands 2, security_alert 1. In ways-za security_alert was found 89 times of 96, revoke 53 of 54, staff commands
93 of 95, and, after ways-z was learnt, 92, 53 and 94. Both writers called some wishes to freeze alarms because somebody else uses the USBKEY (有人冒用，马上停掉). All sets before them call these revoke, and so does the bot, which opens the freeze
that is asked for: seven such, a 挂失 labelled lost_reissue and a 过期两个月还能续吗 labelled renew are labelled as the other sets have them, with 81 slots (reasons in the catalogue's words or none, urgency, kinds of business, serials, the one order of several
that the slot names). Missed were an alarm about a theft that asks for nothing (锁被偷了还在被人用), what the system says was done and nobody did, a wish that is taken back (先别吊销, 不要转人工, 不是补办是注销), a reviewer's reason that is a forgery, stories with a child in them
and what has our words and is another's business. Both are learnt, with 405 sentences of such classes.

ways-zb and ways-zc are further from what was known than any sets since ways-n: in ways-zb security_alert was found 23 times of 23, but 17 other sentences were taken for it, revoke 20 of 20 (3 false), staff commands 71 of 73; in ways-zc
security_alert 86 of 90 (7 false), revoke 63 of 66 (4), staff commands 84 of 90. Without any sign of danger an alarm won where little else was known: every ninth sentence that had been learnt is one, in more words than any other wish has, so that
他们, 要我 and 是我 spoke for it. What was done about it, and what each step was worth, is in ADR 0031. The sentences of three more writers (` + "`examples/breadth.tsv`, `examples/not-alarms.tsv`, `examples/desk.tsv`" + `), of which the recogniser at first
sight understood 1 722 of 2 197, then brought false alarms to 10 and 4, with security_alert 23 of 23 and 85 of 90, revoke 86 of 86 and staff commands 160 of 163. Two things were written with mistakes of these sets in sight (who says 我不退款，我就 wants what follows, and what
stands behind a colleague's name), and the settings were chosen on the new sentences, left out in six parts, with an eye on both sets: the figures after the first are a little better than a stranger's would be. Of their labels eight intents
(who undoes a freeze, a theft, a first PIN) and 65 slots are as the other sets have them, above all reasons in the catalogue's words or none. Both are learnt, with eleven sentences more.

ways-zd is a mixture as an official account receives it, by a writer who had seen nothing either. Every alarm, revocation and staff command in it was found; one other sentence was taken for an alarm, and two who lost a USBKEY in a taxi
or a train and ask to have it frozen for a wish to revoke, which opens the freeze. It is never learnt: ` + "`TestNeverLearnt`" + ` holds what comes after to it.

ways-ze was harder than its figure says: every alarm, revocation and staff command in it was found; three other sentences were taken for a revocation, three for a command and two for an alarm. A third of what was missed is written
in pinyin initials (xf, tk, zrg), whose words stand in the lexicon now. It is learnt, with 56 sentences of people who have an order; ways-zd, which is not, is understood as it was (0.968).

In ways-zf one alarm of seventeen was missed (who asks which mobile an ex-husband's company has here), two harmless sentences were taken for an alarm and one for a revocation; a PIN of letters and digits that follows its name
at a few words' distance (口令写这了 …) was an alarm, but was neither named nor redacted. It is learnt, with six labels as the other sets have them and 42 sentences like those it got wrong. ways-zg, whose one
mistake was 待发货 (a word of other shops for 待配送, which has an explanation now), and ways-zd are not: ` + "`TestNeverLearnt`" + ` holds what comes after to both. With ways-zg in sight 待发货, the names of new legal representatives and foreigners without
the word passport were added to the patterns, so that its slots now flatter.
`

// TestPage keeps docs/bot.md true.
func TestPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(docHead)
	unseen, err := os.ReadFile(crossValidated)
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n## Unseen\n\nWhat the model makes of each way of writing when it has learnt all the others (`go test ./bot/intent -run Unseen -update`). Lexicon\nand patterns were written with all of them in sight; the fair figures are those of first sight, above.\n\n")
	b.WriteString("| way | sentences | intents | slots |\n|---|---|---|---|\n")
	for row := range strings.Lines(string(unseen)) {
		if f := strings.Split(strings.TrimSpace(row), "\t"); f[0] != "way" {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(f, " | "))
		}
	}
	b.WriteString("\n## Now\n\nThe model has learnt all of these.\n\n| set | way | sentences | intents | slots |\n|---|---|---|---|---|\n")
	type pair struct{ want, got string }
	wrong := map[pair]int{}
	for _, set := range sets {
		ways, lines := byWay(t, set.file)
		for _, way := range ways {
			m, err := measured(strings.NewReader(lines[way]))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "| %s | %s | %d | %.3f | %.3f |\n", strings.TrimSuffix(set.file, ".tsv"), cmp.Or(way, "—"), m.n,
				float64(m.intents)/float64(m.n), float64(m.slots)/float64(m.n))
			for _, w := range m.wrong {
				wrong[pair{w.want, w.got}]++
			}
		}
	}
	b.WriteString("\n## Confusions\n\nIn all sets together.\n\n| meant | understood as | times |\n|---|---|---|\n")
	var pairs []pair
	for p := range wrong {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(-cmp.Compare(wrong[a], wrong[b]), cmp.Compare(a.want, b.want), cmp.Compare(a.got, b.got))
	})
	for _, p := range pairs {
		fmt.Fprintf(&b, "| %s | %s | %d |\n", p.want, p.got, wrong[p])
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(page); err != nil || string(old) != b.String() {
		t.Errorf("docs/bot.md is stale (%v): go test ./bot/intent -run Page -update", err)
	}
}

// byWay splits a set by its fourth column.
func byWay(t *testing.T, file string) (ways []string, lines map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines = map[string]string{}
	for line := range dataLines(string(text)) {
		way := ""
		if f := strings.Split(line, "\t"); len(f) > 3 {
			way = f[3]
		}
		if _, ok := lines[way]; !ok {
			ways = append(ways, way)
		}
		lines[way] += line + "\n"
	}
	return ways, lines
}
