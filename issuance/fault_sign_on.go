//go:build fault_skip_sign

package issuance

// skipSign plants a fault that the demonstration must notice: certificates carry
// random bytes instead of the CA's signature. Test builds only (-tags fault_skip_sign).
const skipSign = true
