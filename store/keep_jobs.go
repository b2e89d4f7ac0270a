//go:build !fault_drop_job

package store

// dropJobs is the fault that the demo can plant: see drop_jobs.go.
const dropJobs = false
