package picture

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"golang.org/x/image/draw"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/math/fixed"

	"github.com/yuncaidun/yuncaidun/templates/font"
)

var (
	table = color.RGBA{R: 112, G: 84, B: 60, A: 255}
	paper = color.RGBA{R: 226, G: 224, B: 216, A: 255}
	white = color.RGBA{R: 255, G: 255, B: 255, A: 255}
	ink   = color.RGBA{R: 36, G: 34, B: 40, A: 255}
)

var typeface = sync.OnceValues(func() (*font.Font, error) { return font.Load(font.Path) })

// shot is a picture in the making.
type shot struct {
	testing.TB
	*image.RGBA
}

func newShot(t testing.TB, w, h int, ground color.Color) shot {
	s := shot{t, image.NewRGBA(image.Rect(0, 0, w, h))}
	s.fill(0, 0, w, h, ground)
	return s
}

func (s shot) fill(x, y, w, h int, c color.Color) {
	draw.Draw(s.RGBA, image.Rect(x, y, x+w, y+h), image.NewUniform(c), image.Point{}, draw.Src)
}

func (s shot) write(x, y int, pixels float64, c color.Color, text string) {
	s.Helper()
	f, err := typeface()
	if err != nil {
		s.Fatal(err)
	}
	face, err := f.Face(pixels)
	if err != nil {
		s.Fatal(err)
	}
	d := xfont.Drawer{Dst: s.RGBA, Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
}

// seal is a ring with a star's place in it, in red ink.
func (s shot) seal(x, y, r int) {
	for j := y - r; j < y+r; j++ {
		for i := x - r; i < x+r; i++ {
			if d := math.Hypot(float64(i-x), float64(j-y)); d < float64(r) && (d > .9*float64(r) || d < .25*float64(r)) {
				s.Set(i, j, color.RGBA{R: 206, G: 40, B: 48, A: 255})
			}
		}
	}
}

// licence is a business licence on a table; its small print is 11 pixels high.
func licence(t testing.TB, sheet color.Color) shot {
	s := newShot(t, 1300, 950, table)
	s.fill(75, 60, 1150, 830, sheet)
	s.write(500, 165, 65, ink, "营业执照")
	for i, line := range []string{
		"名　　称　某某科技有限公司", "类　　型　有限责任公司（自然人投资或控股）", "法定代表人　某某某",
		"经营范围　技术开发、技术咨询、技术服务、技术转让；计算机系统服务；软件开发；销售电子产品、机械设备。",
	} {
		s.write(160, 280+60*i, 20, ink, line)
	}
	for i := range 4 {
		s.write(160, 540+30*i, 11, ink, "市场主体应当于每年一月一日至六月三十日通过国家企业信用信息公示系统报送公示年度报告。")
	}
	s.seal(975, 690, 105)
	return s
}

// letter is a page of printed text with a seal that fills the frame.
func letter(t testing.TB, sheet color.Color, pixels int) shot {
	s := newShot(t, 950, 1300, sheet)
	for y := 130; y < 850; y += 2 * pixels {
		s.write(110, y, float64(pixels), ink, "本单位授权上述经办人办理数字证书业务，所提交材料真实有效，复印件与原件一致。"[:3*min(37, 725/pixels)])
	}
	s.seal(675, 1025, 110)
	return s
}

// card is a plain card with little on it.
func card(t testing.TB) shot {
	s := newShot(t, 1300, 820, table)
	s.fill(100, 75, 1100, 670, color.RGBA{R: 214, G: 226, B: 232, A: 255})
	for i, line := range []string{"姓名　某某某", "性别　女　民族　汉", "住址　某省某市某区某路一号"} {
		s.write(170, 210+90*i, 36, ink, line)
	}
	s.write(170, 665, 40, ink, "公民身份号码　11010519491231002X")
	return s
}

// portrait is a card of which a large photograph is the most.
func portrait(t testing.TB) shot {
	s := card(t)
	for y := range 450 {
		for x := range 500 {
			d := math.Hypot(float64(x-250)/150, float64(y-210)/200)
			c := color.RGBA{R: 250, G: 251, B: 252, A: 255}
			if d < 1 {
				c = color.RGBA{R: uint8(220 - 60*d), G: uint8(180 - 50*d), B: uint8(160 - 50*d), A: 255}
			}
			s.SetRGBA(650+x, 125+y, c)
		}
	}
	return s
}

// screenshot is a page with white fields on light grey.
func screenshot(t testing.TB) shot {
	s := newShot(t, 1080, 1900, color.RGBA{R: 224, G: 226, B: 230, A: 255})
	s.fill(0, 0, 1080, 140, color.RGBA{R: 20, G: 90, B: 200, A: 255})
	for i := range 6 {
		s.write(60, 260+260*i, 34, ink, "单位名称（与营业执照一致）")
		s.fill(60, 300+260*i, 960, 130, white)
		s.fill(700, 320+260*i, 300, 90, color.RGBA{R: 236, G: 237, B: 240, A: 255})
	}
	return s
}

// label sticks a blank white label on.
func (s shot) label(x, y, w, h int) shot {
	s.fill(x, y, w, h, white)
	return s
}

// on lays the picture, a third as large, on a larger ground.
func (s shot) on(w, h int, ground color.Color) shot {
	out := newShot(s.TB, w, h, ground)
	draw.CatmullRom.Scale(out.RGBA, image.Rect(w/3, h/3, 2*w/3, 2*h/3), s.RGBA, s.Bounds(), draw.Src, nil)
	return out
}

// each changes every channel of every pixel.
func (s shot) each(f func(x, y int, v float64) float64) shot {
	b := s.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			p := s.Pix[y*s.Stride+4*x:][:3]
			for i := range p {
				p[i] = uint8(min(255, max(0, f(x, y, float64(p[i]))+.5)))
			}
		}
	}
	return s
}

func (s shot) light(f func(x, y float64) float64) shot {
	b := s.Bounds()
	return s.each(func(x, y int, v float64) float64 {
		return v * f(float64(x)/float64(b.Dx()), float64(y)/float64(b.Dy()))
	})
}

func (s shot) noise(sigma float64) shot {
	r := rand.New(rand.NewPCG(1, 2))
	return s.each(func(_, _ int, v float64) float64 { return v + sigma*r.NormFloat64() })
}

// lamp is the reflection of a lamp, its radius a share of the width.
func (s shot) lamp(cx, cy, r, strength float64) shot {
	b := s.Bounds()
	return s.each(func(x, y int, v float64) float64 {
		d := math.Hypot(float64(x)-cx*float64(b.Dx()), float64(y)-cy*float64(b.Dy())) / (r * float64(b.Dx()))
		return v + strength*math.Exp(-d*d*d*d)
	})
}

// blur is a Gaussian blur, drag the blur of a hand that moved.
func (s shot) blur(sigma float64) shot {
	var k []float64
	for i := -int(2.5 * sigma); i <= int(2.5*sigma); i++ {
		k = append(k, math.Exp(-float64(i*i)/(2*sigma*sigma)))
	}
	return s.filter(k, 4).filter(k, s.Stride)
}

func (s shot) drag(length int) shot { return s.shake(length, true) }

func (s shot) shake(length int, across bool) shot {
	step := s.Stride
	if across {
		step = 4
	}
	return s.filter(slices.Repeat([]float64{1}, length), step)
}

// filter weighs the pixels that are step bytes apart.
func (s shot) filter(weights []float64, step int) shot {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	out, acc := s.copy(), make([]int32, len(s.Pix))
	for j, w := range weights {
		from, w := (j-len(weights)/2)*step, int32(w/sum*(1<<20))
		lo, n := max(0, -from), len(acc)-max(from, -from)
		source := s.Pix[lo+from:][:n]
		for i, v := range source {
			acc[lo+i] += w * int32(v)
		}
	}
	for i, v := range acc {
		out.Pix[i] = uint8((v + 1<<19) >> 20)
	}
	return out
}

func (s shot) copy() shot {
	return shot{s.TB, &image.RGBA{Pix: slices.Clone(s.Pix), Stride: s.Stride, Rect: s.Rect}}
}

// soft is what is left of the picture at a third of its size.
func (s shot) soft() shot {
	w, h := s.Bounds().Dx(), s.Bounds().Dy()
	return s.to(w/3, h/3).blur(1).to(w, h)
}

// to is the picture at another size.
func (s shot) to(w, h int) shot {
	out := newShot(s.TB, w, h, white)
	draw.CatmullRom.Scale(out.RGBA, out.Bounds(), s.RGBA, s.Bounds(), draw.Src, nil)
	return out
}

func (s shot) at(quality int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, s.RGBA, &jpeg.Options{Quality: quality}); err != nil {
		s.Fatal(err)
	}
	return b.Bytes()
}

// F35, flows.md 4.4: what is warned of, and what is not.
func TestQuality(t *testing.T) {
	dim := func(share float64) func(x, y float64) float64 { return func(_, _ float64) float64 { return share } }
	shadow := func(x, _ float64) float64 { return .55 + .45/(1+math.Exp(60*(x-.5))) }
	slope := func(x, _ float64) float64 { return 1.25 - .7*x }
	hotspot := func(x, y float64) float64 { return .75 + .6*math.Exp(-6*((x-.5)*(x-.5)+(y-.5)*(y-.5))) }
	l, d := licence(t, paper).copy, letter(t, paper, 20).copy
	tests := []struct {
		name string
		shot shot
		want []Warning
	}{
		// Sharp enough.
		{"licence", l(), nil},
		{"licence, a little soft", l().blur(.5), nil},
		{"licence, soft", l().blur(1), nil},
		{"licence, small print just readable", l().blur(1.3), nil},
		{"licence, noisy", l().noise(8), nil},
		{"licence, soft and noisy", l().blur(1).noise(8), nil},
		{"licence, shaken a little", l().drag(2), nil},
		{"letter in 12 pixels", letter(t, paper, 12), nil},
		{"letter in 20 pixels, soft", d().blur(1), nil},
		{"letter in 40 pixels, soft", letter(t, paper, 40).blur(1.2), nil},
		{"letter forwarded by chat", d().to(789, 1080), nil},
		{"letter forwarded by chat, small", d().to(526, 720), nil},
		{"card with little text", card(t), nil},
		{"card with little text, large letters soft", card(t).blur(1.5), nil},
		{"card with a large photo", portrait(t), nil},
		{"card with a large photo, soft", portrait(t).blur(1), nil},
		{"licence, many pixels", l().to(2600, 1900), nil},
		// Not sharp.
		{"licence, small print lost", l().blur(2.2), []Warning{Blur}},
		{"licence, blurred", l().blur(3), []Warning{Blur}},
		{"licence, out of focus", l().soft().blur(2), []Warning{Blur}},
		{"licence, nothing but colours", l().soft().blur(3), []Warning{Blur}},
		{"licence, blurred and noisy", l().blur(3).noise(5), []Warning{Blur}},
		{"licence, out of focus and noisy", l().soft().blur(3).noise(5), []Warning{Blur}},
		{"licence, shaken across", l().drag(6), []Warning{Blur}},
		{"licence, shaken across and soft", l().drag(9).blur(1), []Warning{Blur}},
		{"licence, shaken down", l().shake(8, false), []Warning{Blur}},
		{"letter, blurred", d().blur(3), []Warning{Blur}},
		{"letter, blurred, forwarded by chat", d().blur(3).to(789, 1080), []Warning{Blur}},
		{"letter, blurred, forwarded small", d().soft().blur(2).to(526, 720), []Warning{Blur}},
		{"card, blurred", card(t).blur(3), []Warning{Blur}},
		{"card with a large photo, blurred", portrait(t).blur(3), []Warning{Blur}},
		// Light that leaves every letter readable.
		{"white licence", licence(t, white), nil},
		{"white letter", letter(t, white, 20), nil},
		{"white letter, overexposed", d().light(dim(1.3)), nil},
		{"licence, light from one side", l().light(slope), nil},
		{"letter, light from one side", d().light(slope), nil},
		{"letter, bright in the middle", d().light(hotspot), nil},
		{"licence, bright in the middle", l().light(hotspot), nil},
		{"licence, shadow of the hand", l().light(shadow), nil},
		{"white letter, shadow of the hand", letter(t, white, 20).light(shadow), nil},
		{"letter beside a window", d().lamp(1, .3, .2, 300), nil},
		{"lamp above the table", card(t).light(dim(.9)).lamp(.5, .03, .03, 400), nil},
		{"white label on the table", l().label(100, 780, 160, 90), nil},
		{"white label on the licence", l().label(900, 600, 140, 80), nil},
		{"screenshot of a form", screenshot(t), nil},
		{"dim room", l().light(dim(.5)).noise(6), nil},
		{"small licence on a black table", l().on(2600, 1900, color.RGBA{R: 12, G: 12, B: 14, A: 255}), nil},
		// Light that does not.
		{"licence, lamp", l().lamp(.45, .4, .06, 200), []Warning{Glare}},
		{"licence, strong lamp", l().lamp(.5, .5, .1, 400), []Warning{Glare}},
		{"card, lamp", card(t).lamp(.4, .5, .06, 200), []Warning{Glare}},
		{"card, two lamps", card(t).lamp(.3, .5, .05, 200).lamp(.6, .5, .05, 200), []Warning{Glare}},
		{"card with a large photo, lamp", portrait(t).lamp(.35, .5, .08, 300), []Warning{Glare}},
		{"letter, lamp, noisy", letter(t, paper, 40).lamp(.5, .3, .12, 400).noise(5), []Warning{Glare}},
		{"licence, flash in a dim room", l().light(dim(.6)).lamp(.5, .5, .07, 500), []Warning{Glare}},
		{"licence, blurred, lamp", l().blur(3).lamp(.45, .4, .06, 200), []Warning{Blur}},
		{"licence, night", l().light(dim(.2)).noise(3), []Warning{Dark}},
		{"letter, night", d().light(dim(.25)).noise(3), []Warning{Dark}},
		{"card, night, blurred", card(t).blur(3).light(dim(.25)).noise(2), []Warning{Blur, Dark}},
		// Nothing to read.
		{"blank", newShot(t, 1300, 900, color.RGBA{R: 240, G: 200, B: 180, A: 255}), []Warning{Blur}},
		{"small", card(t).to(400, 252), []Warning{Small}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Verbose() {
				fine, coarse := planes(tt.shot.RGBA)
				wide, narrow := fine.edges()
				t.Logf("edges %.2f and %.2f, light %d", wide, narrow, coarse.light())
			}
			if got := Warnings(tt.shot.at(60)); !slices.Equal(got, tt.want) {
				t.Errorf("warnings %q, want %q", got, tt.want)
			}
		})
	}
}

// The reviewer, whose picture was encoded anew, is told what the applicant was.
func TestReviewersWarnings(t *testing.T) {
	for want, s := range map[Warning]shot{Blur: licence(t, paper).blur(2.2), Glare: card(t).lamp(.4, .5, .06, 200)} {
		p, err := Accept(s.at(60))
		if err != nil {
			t.Fatal(err)
		}
		if again := Warnings(p.JPEG); !slices.Equal(p.Warnings, []Warning{want}) || !slices.Equal(again, p.Warnings) {
			t.Errorf("%s: %q, then %q", want, p.Warnings, again)
		}
	}
}

// Every warning can be read, and no two are alike.
func TestWarningWords(t *testing.T) {
	seen := map[string]Warning{}
	for _, w := range []Warning{Grey, Small, Blur, Glare, Dark} {
		for _, text := range []string{w.Label(), w.Text()} {
			if other, ok := seen[text]; ok || text == "" {
				t.Errorf("%s reads %q, as %q does", w, text, other)
			}
			seen[text] = w
		}
	}
}

// BenchmarkQuality is what judging adds to an upload of twelve megapixels.
func BenchmarkQuality(b *testing.B) {
	img := shrink(licence(b, paper).lamp(.45, .4, .06, 200).to(4000, 3000), keptSide)
	for b.Loop() {
		defects(img)
	}
}
