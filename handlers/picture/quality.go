package picture

import (
	"cmp"
	"image"
	"iter"
	"math"
	"slices"
)

// What is asked of a photograph before a person looks at it. Everything is judged by
// brightness alone, at one size. In doubt a picture is good: a warning that is wrong
// teaches people to ignore the next one. The figures are those of the pictures of
// TestQuality, which writes them with -v.
const (
	workSide = 1300 // the longer side that sharpness is judged at, as near as whole steps come
	tileSide = 32   // of the squares that it is judged in
	cellSide = 4    // of the squares that light is judged by: letters and noise vanish in them
)

// The edges of pictures that can be read are 0.5 to 1.1 pixels wide, at workSide; where
// the small print of a licence is lost it is 1.5 and more. A hand that shook widens the
// edges across its way only: by 1.5 times and more, where others differ by 1.15.
const (
	maxEdge   = 1.4
	maxShaken = 1.4 // times the width in the other direction,
	minShaken = 0.8 // from this width on
)

// minLight is how bright a picture has to be somewhere: paper has 220 in a good light, 110
// in a dim room, and 60 or less at night.
const minLight = 70

// Glare is a patch of clipped white with a soft rim, on something that is not as white. A
// sheet, a label, the ground of a portrait and a field of a form have a sharp rim: behind
// its third cell there are 2 per cent of the fall, around a reflection 28 to 52. Uneven
// light on a sheet falls by 10 over the rim, a reflection by 28 and more.
const (
	clipped     = 250
	minGlare    = 500 // at least one in so many cells,
	maxGlare    = 8   // and at most one in so many: a sheet of paper is larger
	percentFull = 50  // of its bounding box: the blank around lines is all arms
	rim         = 8   // cells, of which some 325 lie along the longer side
	rimThird    = 15  // per cent of the fall, at least, behind the third cell
	rimEnd      = 235 // at most, where the rim ends,
	rimGround   = 100 // and at least: a lamp itself hangs before something darker
)

// defects tells what is wrong with a photograph as such.
func defects(img *image.RGBA) (w []Warning) {
	fine, coarse := planes(img)
	if fine.blurred() {
		w = append(w, Blur)
	} else if coarse.glaring() { // a soft rim tells nothing where everything is soft
		w = append(w, Glare)
	}
	if coarse.light() < minLight {
		w = append(w, Dark)
	}
	return w
}

// planes are the brightness of a picture at workSide, and in cells.
func planes(img *image.RGBA) (fine, coarse plane) {
	longer := max(img.Bounds().Dx(), img.Bounds().Dy())
	fine = brightness(img, max(1, (longer+workSide/2)/workSide))
	return fine, fine.coarser(cellSide)
}

// plane is the brightness of a picture.
type plane struct {
	w, h int
	pix  []uint8
}

// brightness is img in grey, every step×step pixels made one.
func brightness(img *image.RGBA, step int) plane {
	p := plane{w: img.Bounds().Dx() / step, h: img.Bounds().Dy() / step}
	p.pix = make([]uint8, p.w*p.h)
	for y := range p.h {
		for x := range p.w {
			red, green, blue := 0, 0, 0
			for r := range step {
				px := img.Pix[(y*step+r)*img.Stride+4*x*step:][:4*step]
				for ; len(px) >= 4; px = px[4:] {
					red, green, blue = red+int(px[0]), green+int(px[1]), blue+int(px[2])
				}
			}
			p.pix[y*p.w+x] = uint8((77*red + 150*green + 29*blue) / (256 * step * step)) //nolint:gosec // the mean of bytes
		}
	}
	return p
}

// coarser is p with every step×step pixels made one.
func (p plane) coarser(step int) plane {
	c := plane{w: p.w / step, h: p.h / step}
	c.pix = make([]uint8, c.w*c.h)
	for i := range c.pix {
		corner, sum := i/c.w*step*p.w+i%c.w*step, 0
		for r := range step {
			for _, v := range p.pix[corner+r*p.w:][:step] {
				sum += int(v)
			}
		}
		c.pix[i] = uint8(sum / (step * step)) //nolint:gosec // the mean of bytes
	}
	return c
}

// blurred reports whether nothing in the picture is sharp.
func (p plane) blurred() bool {
	wide, narrow := p.edges()
	return wide > maxEdge || wide > minShaken && wide > maxShaken*narrow
}

// edges are the widths of the sharpest edges, across and down, the wider first.
func (p plane) edges() (wide, narrow float64) {
	s := p.smooth()
	across, down := edge(p.tiles(s, 1)), edge(p.tiles(s, p.w))
	return max(across, down), min(across, down)
}

// smooth is 16 times p under a 3×3 binomial filter, which takes most of the noise away.
func (p plane) smooth() []uint16 {
	s := make([]uint16, len(p.pix))
	for y := 1; y < p.h-1; y++ {
		above, row, below := p.pix[(y-1)*p.w:][:p.w], p.pix[y*p.w:][:p.w], p.pix[(y+1)*p.w:][:p.w]
		column := func(x int) uint16 { return uint16(above[x]) + 2*uint16(row[x]) + uint16(below[x]) }
		for x := 1; x < p.w-1; x++ {
			s[y*p.w+x] = column(x-1) + 2*column(x) + column(x+1)
		}
	}
	return s
}

// tile has the mean squares of the first and second derivative in one direction.
type tile struct{ slope, bend float64 }

// tiles derives s, a smooth p, between neighbours that are step apart.
func (p plane) tiles(s []uint16, step int) (ts []tile) {
	const margin, area = 2, 256 * tileSide * tileSide
	for ty := margin; ty+tileSide+margin <= p.h; ty += tileSide {
		for tx := margin; tx+tileSide+margin <= p.w; tx += tileSide {
			slope, bend := 0, 0
			for y := ty; y < ty+tileSide; y++ {
				from := y*p.w + tx
				before, here, behind := s[from-step:][:tileSide], s[from:][:tileSide], s[from+step:][:tileSide]
				for i := range here {
					a, b, c := int(before[i]), int(here[i]), int(behind[i])
					slope += (c - a) * (c - a)
					bend += (a + c - 2*b) * (a + c - 2*b)
				}
			}
			ts = append(ts, tile{float64(slope) / (4 * area), float64(bend) / area})
		}
	}
	return ts
}

// edge is the width of the sharpest edges: of an edge under a Gaussian blur, the second
// derivative has 1/2σ² of the energy of the first, however high it is and however many
// there are. So a plain card with a few letters counts as sharp, a strong shadow does not.
func edge(ts []tile) float64 {
	const (
		percentFlat = 5    // of the tiles show the noise alone,
		maxNoise    = 4    // which is not more than this: what bends more everywhere is a pattern
		noiseSlope  = 0.42 // of the bend that noise has after smooth
		minSlope    = 2    // less is no edge,
		ofSteepest  = 16   // nor is what has less than one in so many of the most
		percentBest = 10   // of the edges are the sharpest
	)
	if len(ts) == 0 { // of a tiny picture
		return 0
	}
	slices.SortFunc(ts, func(a, b tile) int { return cmp.Compare(a.bend, b.bend) })
	noise, steepest := min(maxNoise, ts[len(ts)*percentFlat/100].bend), float64(minSlope*ofSteepest)
	for _, t := range ts {
		steepest = max(steepest, t.slope-noiseSlope*noise)
	}
	var sharp []float64
	for _, t := range ts {
		if slope := t.slope - noiseSlope*noise; slope > steepest/ofSteepest {
			sharp = append(sharp, (t.bend-noise)/slope)
		}
	}
	if len(sharp) == 0 { // a blank
		return math.Inf(1)
	}
	slices.Sort(sharp)
	return 1 / math.Sqrt(2*max(0, sharp[len(sharp)*(100-percentBest)/100]))
}

// light is how bright the brightest twentieth of the cells is at least.
func (p plane) light() uint8 {
	if len(p.pix) == 0 { // of a tiny picture
		return clipped
	}
	return slices.Sorted(slices.Values(p.pix))[len(p.pix)*95/100]
}

// glaring reports whether a lamp or the sky is reflected somewhere inside the picture.
func (p plane) glaring() bool {
	seen := make([]bool, len(p.pix))
	for i := range p.pix {
		if seen[i] || p.pix[i] < clipped {
			continue
		}
		patch := []int{i}
		seen[i] = true
		for n := 0; n < len(patch); n++ {
			for j := range p.beside(patch[n]) {
				if !seen[j] && p.pix[j] >= clipped {
					seen[j] = true
					patch = append(patch, j)
				}
			}
		}
		if len(patch)*minGlare >= len(p.pix) && len(patch)*maxGlare <= len(p.pix) && p.compact(patch) && p.soft(patch) {
			return true
		}
	}
	return false
}

// beside are the neighbours of a cell.
func (p plane) beside(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		_ = (i%p.w == 0 || yield(i-1)) && (i%p.w == p.w-1 || yield(i+1)) && (i < p.w || yield(i-p.w)) && (i >= len(p.pix)-p.w || yield(i+p.w))
	}
}

// compact reports whether a patch is away from the border and without long arms.
func (p plane) compact(patch []int) bool {
	box := image.Rectangle{}
	for _, i := range patch {
		box = box.Union(image.Rect(i%p.w, i/p.w, i%p.w+1, i/p.w+1))
	}
	return box.In(image.Rect(1, 1, p.w-1, p.h-1)) && len(patch)*100 >= box.Dx()*box.Dy()*percentFull
}

// soft reports whether the brightness falls off slowly around a patch.
func (p plane) soft(patch []int) bool {
	seen := make([]bool, len(p.pix))
	for _, i := range patch {
		seen[i] = true
	}
	var fall [rim + 1]int // by the distance from the patch; a quarter may be brighter, letters do not count
	ring := patch
	for d := 1; d <= rim; d++ {
		var next []int
		var values []uint8
		for _, i := range ring {
			for j := range p.beside(i) {
				if !seen[j] {
					seen[j] = true
					next, values = append(next, j), append(values, p.pix[j])
				}
			}
		}
		if len(next) == 0 {
			return false
		}
		slices.Sort(values)
		fall[d], ring = int(values[len(values)*3/4]), next
	}
	third, end := fall[3], fall[rim]
	return end <= rimEnd && end >= rimGround && (third-end)*100 >= (clipped-end)*rimThird
}
