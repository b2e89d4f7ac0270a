package token

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// Kind sorts the failures of a token by what can be done about them. A Kind is
// itself an error, so callers ask errors.Is(err, token.PINLocked).
type Kind string

// The kinds of failure.
const (
	PINIncorrect Kind = "pin_incorrect"
	PINLocked    Kind = "pin_locked"
	PINLength    Kind = "pin_length"
	PINForm      Kind = "pin_form" // not digits, or too many
	PINExpired   Kind = "pin_expired"
	Missing      Kind = "token_missing"   // not plugged in, or unknown to the module
	Ambiguous    Kind = "token_ambiguous" // two tokens carry the same name
	Unrecognized Kind = "token_unknown"   // there, but not a usable token
	NoBlank      Kind = "token_no_blank"  // no uninitialised token to be had
	Protected    Kind = "token_protected" // write-protected
	Full         Kind = "token_full"      // out of memory or sessions
	Busy         Kind = "token_busy"      // another program holds it
	Resting      Kind = "token_resting"   // failed so often that it is left in peace for a while
	Dead         Kind = "token_dead"      // device or session error; try a new session
	NoObject     Kind = "object_missing"  // key, secret or certificate not on the token
	Unsupported  Kind = "token_mechanism" // the token cannot do this
	Mismatch     Kind = "token_mismatch"  // the token holds or answers something else than it should
	WrongToken   Kind = "token_wrong"     // a usable token, but not the one that is meant
	CodeInvalid  Kind = "code_invalid"    // a challenge or response that was mistyped or is for another token
	// The SO's PIN is ours: the subscriber can do nothing about it.
	SOPINIncorrect Kind = "so_pin_incorrect"
	SOPINLocked    Kind = "so_pin_locked"
	Failed         Kind = "token_failed" // anything else
	// What happens to a USBKEY on a subscriber's PC, see [Interruption].
	Pulled      Kind = "token_pulled"      // taken out while it was used
	Unreachable Kind = "token_unreachable" // plugged in, and does not answer
)

func (k Kind) Error() string { return string(k) }

var details = map[Kind]string{ //nolint:gosec // sentences, no credentials
	PINIncorrect: "口令不正确，请核对后重试。",
	PINLocked:    "口令已被锁定，请办理解锁后再使用。",
	PINLength:    "口令长度不符合该 USBKEY 的要求。",
	PINForm:      fmt.Sprintf("口令须为 %d 至 %d 位数字。", minUserPIN, maxUserPIN),
	PINExpired:   "口令已过期，请先修改口令。",
	Missing:      "未检测到 USBKEY，请确认已插好后重试。",
	Ambiguous:    "检测到多个同名的 USBKEY，请只保留一个后重试。",
	Unrecognized: "无法识别该 USBKEY，请确认型号和驱动。",
	NoBlank:      "没有可用的空白 USBKEY，请插入空白 USBKEY 后重试。",
	Protected:    "USBKEY 处于写保护状态，无法写入。",
	Full:         "USBKEY 空间或连接数不足，请联系客服。",
	Busy:         "USBKEY 正被其他程序占用，请稍后重试。",
	Resting:      "签名设备暂时不可用，系统会自动重试，无需重复提交。",
	Dead:         "USBKEY 通讯中断，请重新插拔后重试。",
	NoObject:     "USBKEY 中没有找到所需的密钥或证书。",
	Unsupported:  "该 USBKEY 不支持所需的算法。",
	Mismatch:     "USBKEY 中的内容与登记不一致，请停止使用并联系客服。",
	WrongToken:   "插入的 USBKEY 不是要办理的那一个，请换上正确的 USBKEY 后重试。",
	CodeInvalid:  "输入有误或不是这个 USBKEY 的，请核对后重新输入。",

	SOPINIncorrect: "管理密钥与系统登记的不一致，口令没有改变，请重试；仍不成功请联系客服 400-666-3999。",
	SOPINLocked:    "USBKEY 的管理密钥已锁定，无法解锁，请办理补办。",
	Failed:         "USBKEY 操作失败，请稍后重试。",
	Pulled:         "UKEY 在办理过程中被拔出或接触不良，这次没有办完。请插好同一个 UKEY，回到网页点「重新开始」，会接着上次的进度办理。",
	Unreachable:    "UKEY 没有响应，这次没有办完。请拔下 UKEY，换一个 USB 口插好，回到网页点「重新开始」，会接着上次的进度办理；仍不成功请致电 400-666-3999。",
}

// kinds maps the return values a person or a retry can act on.
var kinds = map[uint]Kind{
	pkcs11.CKR_PIN_INCORRECT:                  PINIncorrect,
	pkcs11.CKR_PIN_INVALID:                    PINIncorrect,
	pkcs11.CKR_PIN_LOCKED:                     PINLocked,
	pkcs11.CKR_PIN_LEN_RANGE:                  PINLength,
	pkcs11.CKR_PIN_EXPIRED:                    PINExpired,
	pkcs11.CKR_TOKEN_NOT_PRESENT:              Missing,
	pkcs11.CKR_SLOT_ID_INVALID:                Missing,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED:           Unrecognized,
	pkcs11.CKR_TOKEN_WRITE_PROTECTED:          Protected,
	pkcs11.CKR_DEVICE_MEMORY:                  Full,
	pkcs11.CKR_SESSION_COUNT:                  Full,
	pkcs11.CKR_SESSION_EXISTS:                 Busy,
	pkcs11.CKR_SESSION_READ_ONLY_EXISTS:       Busy,
	pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN: Busy,
	pkcs11.CKR_DEVICE_ERROR:                   Dead,
	pkcs11.CKR_DEVICE_REMOVED:                 Dead,
	pkcs11.CKR_SESSION_HANDLE_INVALID:         Dead,
	pkcs11.CKR_SESSION_CLOSED:                 Dead,
	pkcs11.CKR_OBJECT_HANDLE_INVALID:          Dead,
	pkcs11.CKR_KEY_HANDLE_INVALID:             Dead,
	pkcs11.CKR_USER_NOT_LOGGED_IN:             Dead,
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED:       Dead,
	pkcs11.CKR_OPERATION_ACTIVE:               Dead, // left behind by an interrupted operation
	pkcs11.CKR_OPERATION_NOT_INITIALIZED:      Dead,
	pkcs11.CKR_GENERAL_ERROR:                  Failed,
	pkcs11.CKR_FUNCTION_FAILED:                Failed,
	pkcs11.CKR_MECHANISM_INVALID:              Unsupported,
	pkcs11.CKR_MECHANISM_PARAM_INVALID:        Unsupported,
	pkcs11.CKR_FUNCTION_NOT_SUPPORTED:         Unsupported,
	pkcs11.CKR_KEY_SIZE_RANGE:                 Unsupported,
	pkcs11.CKR_CURVE_NOT_SUPPORTED:            Unsupported,
	pkcs11.CKR_DOMAIN_PARAMS_INVALID:          Unsupported,
}

// interruptions maps the return values of a USBKEY on somebody's PC that was pulled
// out while it was used, maybe plugged in again since, or does not answer any more.
var interruptions = map[uint]Kind{
	pkcs11.CKR_DEVICE_REMOVED:           Pulled,
	pkcs11.CKR_TOKEN_NOT_PRESENT:        Pulled,
	pkcs11.CKR_SLOT_ID_INVALID:          Pulled,
	pkcs11.CKR_SESSION_HANDLE_INVALID:   Pulled,
	pkcs11.CKR_SESSION_CLOSED:           Pulled,
	pkcs11.CKR_OBJECT_HANDLE_INVALID:    Pulled,
	pkcs11.CKR_KEY_HANDLE_INVALID:       Pulled,
	pkcs11.CKR_USER_NOT_LOGGED_IN:       Pulled,
	pkcs11.CKR_DEVICE_ERROR:             Unreachable,
	pkcs11.CKR_GENERAL_ERROR:            Unreachable,
	pkcs11.CKR_FUNCTION_FAILED:          Unreachable,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED:     Unreachable,
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED: Unreachable,
}

// vague are the kinds of failure that a USBKEY which is not there any more shows, too.
var vague = []Kind{Missing, NoObject, Dead, Failed, Unrecognized}

// Interruption is err as what it most likely is where people hold the USBKEY in
// their hands: it was pulled out, or does not answer. present says whether it is
// there now. Any other failure stays as it is.
func Interruption(err error, present func() bool) error {
	var e *Error
	if !errors.As(err, &e) || !slices.Contains(vague, e.Kind) {
		return err
	}
	kind, ok := interruptions[e.CKR]
	if kind != Pulled && !present() {
		kind, ok = Pulled, true
	}
	if !ok {
		return err
	}
	return &Error{Kind: kind, Op: e.Op, CKR: e.CKR}
}

// Error is a failed use of a token. It never holds a PIN or a key.
type Error struct {
	Kind Kind
	// Op says what was being done, for the log.
	Op string
	// CKR is the PKCS#11 return value, or zero when the failure is ours.
	CKR uint
}

func (e *Error) Error() string {
	if e.CKR == 0 {
		return fmt.Sprintf("%s: %s", e.Op, e.Kind)
	}
	return fmt.Sprintf("%s: %s (%v)", e.Op, e.Kind, pkcs11.Error(e.CKR))
}

// Unwrap lets errors.Is match the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Detail is the failure as a plain Chinese sentence, safe to show (F127).
func (e *Error) Detail() string { return details[e.Kind] }

// Detail returns the Chinese sentence of the token failure in err's chain.
func Detail(err error) (string, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Detail(), true
	}
	return "", false
}

// fail turns what a PKCS#11 call returned into an *Error, and nil into nil.
func fail(op string, err error) error {
	if err == nil {
		return nil
	}
	var ckr pkcs11.Error
	if !errors.As(err, &ckr) {
		return fmt.Errorf("%s: %w", op, err)
	}
	kind, ok := kinds[uint(ckr)]
	if !ok {
		kind = Failed
	}
	return &Error{Kind: kind, Op: op, CKR: uint(ckr)}
}

func is(err error, ckr uint) bool {
	var e pkcs11.Error
	return errors.As(err, &e) && uint(e) == ckr
}
