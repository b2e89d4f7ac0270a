package story

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
)

// Photo is a colour photograph of something like a document with a seal,
// different for each seed.
func Photo(seed int) []byte {
	const width, height, margin = 1200, 800, 80
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	fill := func(x, y, w, h int, c color.RGBA) {
		draw.Draw(img, image.Rect(x, y, x+w, y+h), image.NewUniform(c), image.Point{}, draw.Src)
	}
	paper := []color.RGBA{{246, 232, 196, 255}, {214, 234, 248, 255}, {222, 240, 214, 255}, {250, 224, 214, 255}}[seed%4]
	ink, red := color.RGBA{40, 60, 110, 255}, color.RGBA{200, 30, 40, 255}
	fill(0, 0, width, height, color.RGBA{120, 84, 52, 255}) // the table it lies on
	fill(margin/2, margin/2, width-margin, height-margin, paper)
	fill(width/4, 2*margin, width/2, 36, ink)
	for line := range 6 {
		fill(2*margin, 280+60*line, 400+(seed*157+line*211)%500, 18, ink)
	}
	const middleX, middleY, outer, inner = 900, 560, 120, 104
	for y := middleY - outer; y < middleY+outer; y++ {
		for x := middleX - outer; x < middleX+outer; x++ {
			if d := (x-middleX)*(x-middleX) + (y-middleY)*(y-middleY); d < outer*outer && (d > inner*inner || d < inner*inner/16) {
				img.Set(x, y, red)
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}
