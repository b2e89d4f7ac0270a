// Package e2e proves the whole product from outside: it builds the executable,
// starts private instances of it with the simulators, and plays what people and
// attackers do.
package e2e
