//go:build !faults

package issuance

// failpoint does nothing in the shipped binary; see fault_on.go.
func failpoint(string) {}
