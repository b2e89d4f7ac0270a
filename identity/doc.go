// Package identity knows what people and units write down about themselves:
// unified social credit codes, document numbers, mobiles, names, e-mail and
// postal addresses. It normalises them, checks them and masks them. It does no
// I/O beyond reading its embedded data file and imports nothing of ours.
//
// Personal values ([Mobile], [PersonName], [DocNo], [Email], [Address]) print as
// their mask whichever way they are printed; only Reveal gives the clear text.
package identity
