package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// disk is a small file system of its own.
type disk struct{ dir string }

// newDisk mounts one in memory. Where that is not allowed, tests run on a folder
// that can only be made read-only.
func newDisk(t *testing.T) (d disk, mounted bool) {
	t.Helper()
	d.dir = filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=32m,mode=0700"); err != nil {
		t.Logf("no file system can be mounted here (%v): the folder is made read-only instead", err)
		t.Cleanup(func() { d.readOnly(t, false) })
		return d, false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d, true
}

func (d disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no room for a single block.
func (d disk) fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(d.ballast())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := bytes.Repeat([]byte{1}, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func (d disk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		t.Fatal(err)
	}
}

// readOnly forbids new files in every folder, or allows them again.
func (d disk) readOnly(t *testing.T, on bool) {
	t.Helper()
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		mode := fs.FileMode(0o700)
		if on {
			mode = 0o500
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Reliability 11: the disk is full while orders are at work. Readiness says so, what
// cannot be kept is refused with 503 and Retry-After, everything acknowledged is
// there, nothing is there by halves, and the product recovers by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	d, mounted := newDisk(t)
	p := newProcess(t, shipped, "web,jobs,issuer", "YCD_DATA_DIR="+d.dir)
	p.env = append(p.env, "YCD_PUBLIC_URL="+p.url)
	p.start(t)
	f := developmentOffice(t, p, d.dir)
	waiting, making := f.mustPlace(t, 1), f.mustPlace(t, 1)
	f.workUntil(t, 30*time.Second, order.InReview, waiting)
	f.workUntil(t, 30*time.Second, order.ToIssue, making) // filled up while its key is made
	v := newVisitor(p.url)
	if a, err := v.open("/p/ydnyCA7m2k"); err != nil || v.csrf == "" {
		t.Fatalf("the project's page: %d %v", a.status, err)
	}
	before := f.drafts(t)

	var acknowledged, refused int
	if mounted {
		d.fill(t)
		eventually(t, 20*time.Second, "a refusal", func() error {
			switch a, err := v.post("/orders", url.Values{"product": {"yd-initial"}}); {
			case err != nil:
				return stop{err}
			case a.status == http.StatusSeeOther:
				acknowledged++ // into blocks that the database had already
			case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
				refused++
			default:
				return stop{fmt.Errorf("%d %s", a.status, a.body)}
			}
			if refused < 3 {
				return fmt.Errorf("%d acknowledged, %d refused", acknowledged, refused)
			}
			return nil
		})
	} else {
		d.readOnly(t, true)
	}
	if status, _, body, err := get(p.url + "/readyz"); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, `"disk"`) {
		t.Errorf("readiness on a full disk: %d %s %v", status, body, err)
	}
	if status, _, _, err := get(p.url + "/healthz"); err != nil || status != http.StatusOK {
		t.Errorf("liveness on a full disk: %d %v", status, err)
	}
	if a, err := v.open("/p/ydnyCA7m2k"); err != nil || a.status != http.StatusOK {
		t.Errorf("reading on a full disk: %d %v", a.status, err)
	}
	if mounted {
		d.free(t)
	} else {
		d.readOnly(t, false)
	}

	eventually(t, 10*time.Second, "readiness with room again", p.ready)
	if n := f.drafts(t); n != before+acknowledged {
		t.Errorf("%d drafts, %d were there and %d were acknowledged", n, before, acknowledged)
	}
	t.Logf("%d acknowledged, %d refused", acknowledged, refused)
	f.workUntil(t, 60*time.Second, order.Completed, waiting, making)
	f.intact(t, waiting, making)
	p.stop(t)
}

// drafts counts the orders that are being filled in, and sees that none is half there.
func (f *office) drafts(t *testing.T) (n int) {
	t.Helper()
	var partial int
	err := f.outsider(t).QueryRowContext(t.Context(), `
		SELECT count(*), count(*) - count(e.order_id)
		FROM orders o LEFT JOIN order_events e ON e.order_id = o.id AND e.seq = 1
		WHERE o.status = 'draft'`).Scan(&n, &partial)
	if err != nil || partial != 0 {
		t.Errorf("%d of %d drafts without a history: %v", partial, n, err)
	}
	return n
}
