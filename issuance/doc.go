// Package issuance is the certification authority (CA): profiles, the check of a
// certificate signing request, serial numbers, signing in an HSM, and the durable
// pipeline that makes one certificate on one USBKEY. It knows no orders and no
// SQL: what it must remember goes through the [Ledger].
package issuance
