//go:build fault_drop_job

package store

// dropJobs makes every change forget its follow-up jobs. Only a build with the
// tag fault_drop_job has it: the demo plants it to prove that its checks notice.
const dropJobs = true
