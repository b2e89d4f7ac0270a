// Package token speaks PKCS#11: to the tokens of the CA, whose keys sign through
// a [Pool] of logged-in sessions, and to the subscribers' tokens (USBKEYs), each
// of which is used by one owner at a time.
//
// Rules that PKCS#11 modules punish, some with a crash of the whole process, and
// that this package keeps:
//
//   - a session belongs to one goroutine at a time;
//   - login state belongs to (process, token): a token is either pooled and never
//     logged out, or owned exclusively ([Module.Exclusive]);
//   - slot ids change when a token is initialised, so tokens are found by their
//     label or serial number;
//   - object handles die with the login, so they are cached per session;
//   - a module that lists slots and opens sessions may still be unable to sign:
//     health is a real signature, verified ([Signer.Health]).
package token
