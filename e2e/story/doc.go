// Package story plays whole stories against a private instance of the product,
// as the people in them would: applicants and staff with browsers, telephones
// and a chat window, over real HTTP. It knows the pages by what they show and
// the world outside by the simulators' control API; certificates and USBKEYs
// are checked with openssl and pkcs11-tool, which share no code with us.
package story
