package story

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// The steps at which a key helper built with -tags faults can be killed.
var (
	writeSteps  = []string{"write-started", "write-proven", "write-key-made", "write-certified", "write-written", "write-read"}
	unlockSteps = []string{"unlock-secret", "unlock-started", "unlock-pin-set", "unlock-marked", "unlock-so-rotated", "unlock-noted", "unlock-proven"}
)

// killedAt kills a helper at each of the steps, one run after the other; after each
// the USBKEY can be opened, with one of the PINs if there are any.
func (p *player) killedAt(steps []string, token string, begin func() (cmd *exec.Cmd, pin string), pins ...string) {
	for _, step := range steps {
		cmd, pin := begin()
		cmd.Env = append(cmd.Env, "FAILPOINT="+step)
		cmd.Stdin = strings.NewReader(pin + "\n" + pin + "\n")
		said, err := cmd.CombinedOutput()
		p.check(killed(err), "证书助手在 "+step+" 断电", string(said), err)
		if len(pins) == 0 {
			pins = []string{pin}
		}
		p.check(slices.ContainsFunc(pins, func(pin string) bool { return p.logsIn(token, pin) }), "断电后 UKEY 可以打开")
	}
}

// diesReporting kills a helper after the server has taken its report, before the
// helper hears so: the server is done, and the ticket is good for nothing more.
func (p *player) diesReporting(cmd *exec.Cmd, pin string) {
	to := must(url.Parse(p.instance.URL))
	between := httputil.NewSingleHostReverseProxy(to)
	between.ModifyResponse = func(r *http.Response) error {
		if !strings.HasSuffix(r.Request.URL.Path, "/report") {
			return nil
		}
		p.check(r.StatusCode == http.StatusOK, "平台收到了证书助手的报告", r.Status)
		return cmd.Process.Kill()
	}
	between.ErrorLog = log.New(io.Discard, "", 0)
	server := httptest.NewServer(between)
	defer server.Close()
	ticket := slices.Clone(cmd.Args)
	cmd.Args[slices.Index(cmd.Args, "--server")+1] = server.URL
	cmd.Stdin = strings.NewReader(pin + "\n" + pin + "\n")
	said, err := cmd.CombinedOutput()
	p.check(killed(err), "证书助手报告后、听到回答前断电", string(said), err)
	again := exec.CommandContext(p.ctx, ticket[0], ticket[1:]...) //nolint:gosec // our own program
	again.Env = cmd.Env
	heard, err := output(again)
	p.check(err != nil && strings.Contains(err.Error(), "已失效"), "办理凭证已经用完，什么也不会重复", heard, err)
}

func killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGKILL
}
