package token

import "fmt"

// lastNumber is the greatest number that 14 digits hold.
const lastNumber = 99_999_999_999_999

// Serial returns the TW serial number of a USBKEY: "TW" and 14 digits, which is
// exactly the 16 characters of CK_TOKEN_INFO.serialNumber.
func Serial(number uint64) (string, error) {
	if number == 0 || number > lastNumber {
		return "", fmt.Errorf("token number %d does not fit a TW serial number", number)
	}
	return fmt.Sprintf("TW%014d", number), nil
}

// ValidSerial reports whether s has the form of a TW serial number.
func ValidSerial(s string) bool {
	if len(s) != 16 || s[:2] != "TW" {
		return false
	}
	for _, c := range s[2:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
