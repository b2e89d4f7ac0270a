// Package bot is the official account: it receives WeChat's callbacks
// (signature, encryption, freshness, de-duplication), understands what people
// write (package intent) and answers from live data.
//
// It decides nothing about orders: it asks the ports of ports.go and puts the
// answer into words.
package bot
