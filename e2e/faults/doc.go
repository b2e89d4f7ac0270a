// Package faults holds the proofs that the product survives what happens to
// machines: the shipped binary is killed, its Redis, its disk and its database
// fail under it, and afterwards nothing is lost, nothing happened twice and
// nothing leaked (the design's reliability bars 6–12, 22 and 23). It also runs a
// production with its three roles in three processes.
//
// Everything is in tests; a test process plays the people: it reaches the data as
// a further process of the product would, and everything else over HTTP.
package faults
