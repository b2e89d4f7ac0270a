//go:build !fault_skip_sign

package issuance

// skipSign is false in the shipped binary; see fault_sign_on.go.
const skipSign = false
