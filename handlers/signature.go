package handlers

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/png"
	"strings"
)

// A handwritten signature comes from the canvas of the page as a data URL.
const (
	signaturePrefix   = "data:image/png;base64,"
	maxSignatureBytes = 256 << 10
	maxSignatureSide  = 2400
	minSignatureSide  = 60
	// Ink counts in pixels of the picture scaled to signatureWidth.
	signatureWidth = 480
	minInk         = 150
	maxInkShare    = 0.5 // of the picture: somebody painted it black
	minSpread      = 0.10
)

var (
	errNoSignature   = errors.New("请在签名框内手写签名")
	errBadSignature  = errors.New("签名图像无法识别，请清除后重新签名")
	errTinySignature = errors.New("签名太小或太短，请在签名框内工整签写全名")
)

// readSignature checks a drawn signature and returns it as a picture of our own
// making: black on white, nothing else of what was sent.
func readSignature(dataURL string) ([]byte, error) {
	if dataURL == "" {
		return nil, errNoSignature
	}
	encoded, ok := strings.CutPrefix(dataURL, signaturePrefix)
	if !ok || len(encoded) > base64.StdEncoding.EncodedLen(maxSignatureBytes) {
		return nil, errBadSignature
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errBadSignature
	}
	size, err := png.DecodeConfig(bytes.NewReader(raw))
	if err != nil || size.Width > maxSignatureSide || size.Height > maxSignatureSide || size.Width < minSignatureSide || size.Height < minSignatureSide {
		return nil, errBadSignature
	}
	drawn, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, errBadSignature
	}
	clean, ink, box := trace(drawn)
	area := float64(clean.Rect.Dx() * clean.Rect.Dy())
	switch {
	case ink == 0:
		return nil, errNoSignature
	case ink < minInk, float64(box.Dx()) < minSpread*float64(clean.Rect.Dx()), float64(box.Dy()) < minSpread*float64(clean.Rect.Dy())/2:
		return nil, errTinySignature
	case float64(ink) > maxInkShare*area:
		return nil, errBadSignature
	}
	var out bytes.Buffer
	if err := png.Encode(&out, clean); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// trace draws the picture anew at a fixed width, in grey, and measures the ink.
func trace(drawn image.Image) (clean *image.Gray, ink int, box image.Rectangle) {
	from := drawn.Bounds()
	w, h := signatureWidth, max(1, from.Dy()*signatureWidth/from.Dx())
	clean = image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBAModel.Convert(drawn.At(from.Min.X+x*from.Dx()/w, from.Min.Y+y*from.Dy()/h)).(color.NRGBA)
			lightness := (299*int(c.R) + 587*int(c.G) + 114*int(c.B)) / 1000
			grey := 255 - (255-lightness)*int(c.A)/255
			clean.SetGray(x, y, color.Gray{Y: uint8(grey)}) //nolint:gosec // 0 to 255
			if grey < 128 {
				ink++
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return clean, ink, box
}
