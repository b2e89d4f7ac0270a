package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

func TestSealing(t *testing.T) {
	s := testSealer(t)
	at := cell{"people", "sealed_mobile", "p1"}
	sealed, err := s.sealBytes([]byte("secret"), at)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := s.sealBytes([]byte("secret"), at); bytes.Equal(sealed, again) {
		t.Error("equal values have equal ciphertexts")
	}
	got, err := s.openBytes(sealed, at)
	if err != nil || string(got) != "secret" {
		t.Errorf("opened %q, %v", got, err)
	}
	for name, elsewhere := range map[string]cell{
		"other row":    {"people", "sealed_mobile", "p2"},
		"other column": {"people", "sealed_name", "p1"},
		"other table":  {"staff", "sealed_mobile", "p1"},
	} {
		if _, err := s.openBytes(sealed, elsewhere); err == nil {
			t.Errorf("%s: a moved ciphertext opens", name)
		}
	}
	for i := range sealed {
		forged := bytes.Clone(sealed)
		forged[i] ^= 1
		if _, err := s.openBytes(forged, at); err == nil {
			t.Errorf("a ciphertext with byte %d changed opens", i)
		}
	}
	if b, err := s.sealBytes(nil, at); b != nil || err != nil {
		t.Errorf("nothing seals to %v, %v", b, err)
	}
	var none *Sealer
	if _, err := none.sealBytes([]byte("x"), at); !errors.Is(err, errNoSealer) {
		t.Errorf("sealing without a sealer: %v", err)
	}
}

// Reliability 22: the key's id is in the ciphertext, and rotation makes a new
// one seal while the old ones still open.
func TestRotation(t *testing.T) {
	at := cell{"t", "c", "r"}
	old := testSealer(t)
	before, err := old.sealBytes([]byte("secret"), at)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := RotateKeyset(testKeyset(t), testMaster)
	if err != nil {
		t.Fatal(err)
	}
	now, err := NewSealer(rotated, testMaster, bytes.Repeat([]byte("i"), KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := now.openBytes(before, at); err != nil || string(got) != "secret" {
		t.Errorf("the rotated keyset opens the old value as %q, %v", got, err)
	}
	after, err := now.sealBytes([]byte("secret"), at)
	if err != nil {
		t.Fatal(err)
	}
	keyID := func(sealed []byte) uint32 { return binary.BigEndian.Uint32(sealed[1:5]) } // Tink prefix: 0x01, key id
	if keyID(before) == keyID(after) {
		t.Error("the old key still seals")
	}
	if _, err := old.openBytes(after, at); err == nil {
		t.Error("the old keyset opens a value of the new key")
	}
}

func TestKeysetNeedsItsMasterKey(t *testing.T) {
	index := bytes.Repeat([]byte("i"), KeySize)
	for name, open := range map[string]func() error{
		"other master key": func() error {
			_, err := NewSealer(testKeyset(t), bytes.Repeat([]byte("x"), KeySize), index)
			return err
		},
		"short master key": func() error { _, err := NewSealer(testKeyset(t), testMaster[:16], index); return err },
		"short index key":  func() error { _, err := NewSealer(testKeyset(t), testMaster, index[:16]); return err },
		"garbage":          func() error { _, err := NewSealer([]byte("garbage"), testMaster, index); return err },
		"rotation":         func() error { _, err := RotateKeyset(testKeyset(t), index); return err },
	} {
		if open() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBlindIndex(t *testing.T) {
	s := testSealer(t)
	index := func(kind, value string) string {
		i, err := s.index(kind, value)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	if first, again := index("mobile", "1"), index("mobile", "1"); first != again {
		t.Error("equal values have different indexes")
	}
	if index("mobile", "1") == index("mobile", "2") || index("mobile", "1") == index("doc_no", "1") {
		t.Error("different values or kinds share an index")
	}
	if index("mobile", "") != "" {
		t.Error("nothing has an index")
	}
	other, err := NewSealer(testKeyset(t), testMaster, bytes.Repeat([]byte("j"), KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if i, _ := other.index("mobile", "1"); i == index("mobile", "1") {
		t.Error("the index does not depend on its key")
	}
}

// Reliability 22: 200 planted personal values, every one in every place the
// product puts it; none is found in the database's files.
func TestNoPersonalDataAtRest(t *testing.T) {
	dsn := freshDSN(t, "sqlite")
	db := openTest(t, dsn)
	var canaries []string
	plant := func(format string) string {
		c := strings.ReplaceAll(format, "#", strings.Repeat(string(rune('0'+len(canaries)%10)), 2)+string(rune('A'+len(canaries)/10)))
		canaries = append(canaries, c)
		return c
	}
	for i := range 20 {
		id := string(rune('a' + i))
		number := "139" + strings.Repeat(string(rune('0'+i%10)), 3) + "8642" + string(rune('0'+i/10))
		canaries = append(canaries, number)
		insertPerson(t, db, "person"+id, identity.NewMobile(number))
		o := full(order.ID("o" + id))
		o.No += id
		o.PersonID = "person" + id
		o.Form = order.NewForm(map[order.Field]string{
			order.AgentName: plant("王#琪"), order.AgentMobile: number, order.AgentEmail: plant("a#@example.com"), order.IDNo: plant("110101199003#"),
			order.LegalName: plant("李#"), order.ShipName: plant("赵#"), order.ShipAddress: plant("幸福路#号"), order.IDFront: "object-id",
		})
		o.Reasons = []order.Reason{{Code: "R20", Note: plant("#的身份证看不清")}}
		insertOrders(t, db, o)
		s := order.Staff{ID: "s" + id, PersonID: "person" + id, Name: plant("周#"), TOTPSecret: plant("JBSWY3DPEH#")}
		inTx(t, db, func(tx order.Tx) error {
			if err := tx.Enqueue(t.Context(), order.Job{Kind: order.JobRealName, Ref: string(o.ID)}); err != nil {
				return err
			}
			return tx.SaveStaff(t.Context(), s)
		})
	}
	if len(canaries) < 200 {
		t.Fatalf("only %d canaries", len(canaries))
	}
	files, err := filepath.Glob(strings.TrimPrefix(dsn, "sqlite:") + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v; want the database and its WAL", files, err)
	}
	var onDisk []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		onDisk = append(onDisk, b...)
	}
	if !bytes.Contains(onDisk, []byte("新疆运达有限公司")) {
		t.Fatal("the public company name is not found either: the test looks in the wrong place")
	}
	for _, c := range canaries {
		if bytes.Contains(onDisk, []byte(c)) {
			t.Errorf("%q is in the clear on disk", c)
		}
	}
}
