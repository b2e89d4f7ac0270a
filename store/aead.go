package store

// Encrypt seals what lives outside the database, such as uploaded images; with
// Decrypt it is the Sealer that package provider/objects asks for.
func (s *Sealer) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return s.aead.Encrypt(plaintext, associatedData)
}

// Decrypt opens what Encrypt sealed with the same associated data.
func (s *Sealer) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return s.aead.Decrypt(ciphertext, associatedData)
}

// Sealer returns the keyset of personal data.
func (db *DB) Sealer() *Sealer { return db.seal }
