// Package order is the registration authority (RA): who may ask for a
// certificate, what must be true before one is made, what is paid and owed, and
// what happens next. Everything that may follow what is one table, in
// lifecycle.go. It imports the standard library and identity only.
package order
