//go:build !faults

package main

// failpoint does nothing in the shipped helper; see fault_on.go.
func failpoint(string) {}
